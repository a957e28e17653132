"""torchvision's name for downloads, checksums and archives.  Level 14."""

from rushlight.vision.datasets.transfer import (
    calculate_md5,
    check_integrity,
    check_md5,
    download_and_extract_archive,
    download_url,
    extract_archive,
)

__all__ = [
    "calculate_md5", "check_integrity", "check_md5", "download_and_extract_archive",
    "download_url", "extract_archive",
]  # fmt: skip
