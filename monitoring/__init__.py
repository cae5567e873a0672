"""What production traffic looks like over time: windows, drift and the lake of traces."""
