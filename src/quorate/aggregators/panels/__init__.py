"""Panels: several answers that are compared, ranked or taken as advice by models.

| module | what it does |
|---|---|
| `analysis` | reads an analyst's account of where answers agree and differ |
| `fusion` | a panel answers, an analyst compares, a writer answers |
| `acting` | a panel advises, one model calls tools |
| `council` | members rank each other's answers |
| `ballots` | rankings to scores, and when a lead is safe |
| `entries` | their entries in the registry |
"""
