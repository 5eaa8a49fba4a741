"""What produced every number of docs/performance.md and docs/learning.md. See README.md in this folder."""
