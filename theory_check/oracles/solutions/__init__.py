"""Exact solutions: of the lower level, penalised or within a class, and of the upper one."""
