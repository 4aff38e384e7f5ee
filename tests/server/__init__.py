"""Tests of quorate.server: a real uvicorn on a real socket, asked by the official client and by raw HTTP."""
