"""Verification that programs are well synchronised."""


class ProgramError(Exception):
    pass


class Checker:
    def __init__(self, config):
        pass

    def issue(self, instruction, bases):
        pass
