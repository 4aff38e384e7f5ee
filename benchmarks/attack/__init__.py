"""A server with its defaults among people who flood it, break it off and send it nonsense: which promises hold?"""
