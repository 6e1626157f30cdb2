"""The tasks that ``snnfp train`` knows: data, encoding and settings that work."""

from __future__ import annotations

from snnfp.event_tasks import EVENT_TASKS
from snnfp.latency_tasks import LATENCY_TASKS
from snnfp.task import Task, TaskData
from snnfp.task_networks import build_network, hidden_names, make_loss
from snnfp.task_settings import Settings

__all__ = ["TASKS", "Settings", "Task", "TaskData", "build_network", "hidden_names", "make_loss"]

TASKS = {task.name: task for task in (*LATENCY_TASKS, *EVENT_TASKS)}
