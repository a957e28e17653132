"""Which recorded operations form one kernel, in what order.  Level 5."""
