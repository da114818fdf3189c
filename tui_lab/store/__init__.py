"""What is on disk: the lab's folder, plans, the journal and its fold."""
