"""Which model answers, and how far one goes: cascades and routers, learned from a bank and kept in readable files."""
