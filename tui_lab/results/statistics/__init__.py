"""Statistics of settings: means, intervals, comparisons."""
