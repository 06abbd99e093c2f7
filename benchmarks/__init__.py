"""The budgets of Dray, measured on this machine: ``make bench``."""
