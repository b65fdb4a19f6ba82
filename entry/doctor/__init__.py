"""`hublet doctor`: tells what of an application stops every request while it waits, and proves it."""
