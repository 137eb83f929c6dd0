"""RAMP Fleet's science: the nouns, the doors, and everything that needs only numpy, torch and pyarrow."""
