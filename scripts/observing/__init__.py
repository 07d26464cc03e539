"""What scripts/observe.py is made of."""
