"""Pipelines inside other people's programs, in the same process: LangChain, LangGraph, DSPy, Inspect and `llm`.

Each lives in a module of its own (`langchain`, `langgraph`, `dspy`, `inspect`, `llm`), which needs that program
installed and is imported by who uses it. All of those programs know OpenAI's form of a request and of a reply, so that
`chat` does once for all what the server does for its clients.
"""
