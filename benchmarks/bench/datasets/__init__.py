"""A file lists its tasks in TASKS; each loads its data ready for every solver alike."""
