"""A chat template with a thought, for the shipped models: it reads `enable_thinking` as Qwen 3's does.

Where that is false the prompt ends with a thought that is empty and closed, else with one that is open.
"""

from __future__ import annotations

__all__ = ["CLOSED", "OPEN", "TEMPLATE"]

OPEN, CLOSED = "<think>\n", "<think>\n\n</think>\n\n"
TEMPLATE = """
{%- for message in messages -%}
    {%- if message.role == 'assistant' -%}
        {{- '<|assistant|>' + message.content + '<|end|>' -}}
    {%- else -%}
        {{- '<|user|>' + message.content -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|assistant|>' -}}
    {%- if enable_thinking is defined and enable_thinking is false -%}
        {{- '<think>\\n\\n</think>\\n\\n' -}}
    {%- else -%}
        {{- '<think>\\n' -}}
    {%- endif -%}
{%- endif -%}
"""
