"""The landing zone: pages in, immutable bytes out. Knows nothing of CPT."""
