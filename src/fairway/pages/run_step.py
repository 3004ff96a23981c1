"""The page of one step: what went in and came out, its attempts, its failure, and the steps before and behind it."""

from typing import Any

from starlette.responses import Response

from fairway.pages.artifacts import Value, value, values
from fairway.pages.curves import logged
from fairway.pages.logs import last_lines
from fairway.pages.run import carried
from fairway.pages.run_view import RunView, RunViews
from fairway.pages.steps import state_of
from fairway.pages.timeline import spans_of
from fairway.pages.tracebacks import frame_of
from fairway.pages.visit import View, Visit
from fairway.spec.run import RunStatus, StepStatus

_LAST_LINES = 20


class StepPage:
    """The page of one step.

    Args:
        run_views: what pages show of runs.
    """

    def __init__(self, run_views: RunViews) -> None:
        self._run_views = run_views

    def views(self) -> list[View]:
        """Return the page."""
        return [View(path="/runs/{name}/steps/{step}", handler=self.show)]

    async def show(self, visit: Visit) -> Response:
        """Show a step with looks at its inputs and outputs."""
        params = visit.request.path_params
        view = await self._run_views.of(visit.platform, params["name"])
        status = view.run
        step = view.steps.step(status.spec.name, params["step"])
        name = step.spec.name
        before, behind = view.steps.beside(name)
        outputs, made = await values(visit, view, _outputs(step))
        inputs, taken = await values(visit, view, dict(step.spec.inputs))
        listed, back = carried(visit.query)
        details = step.failure.details if step.failure is not None else ""
        return visit.page(
            "step.html",
            title=f"{name} in {status.spec.pipeline} {status.spec.name}",
            command=f"fairway show {status.spec.name}/{name}",
            run=status,
            step=step,
            state=state_of(step),
            before=before,
            behind=behind,
            outputs=outputs,
            inputs=inputs,
            left=made + taken,
            shown=await _shown(visit, view, step),
            attempts=_attempts(status, step),
            users=view.steps.users(name),
            details=details,
            frame=frame_of(details),
            lines=await last_lines(visit.platform, status, step, _LAST_LINES),
            logged=logged(_points(step)),
            listed=listed,
            back=back,
        )


def _outputs(step: StepStatus) -> dict[str, Any]:
    if len(step.outputs) == 1:
        return {"output": step.outputs[0]}
    return {f"output {place}": one for place, one in enumerate(step.outputs)}


async def _shown(visit: Visit, view: RunView, step: StepStatus) -> list[Value]:
    return [await value(visit, view, title, "", one) for title, one in step.shown.items()]


def _points(step: StepStatus) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for point in step.metrics:
        found.setdefault(point.name, []).append((point.index, point.value))
    return found


def _attempts(status: RunStatus, step: StepStatus) -> list[dict[str, Any]]:
    """Return the attempts with what each used, beside what its task asks for."""
    spans = spans_of(step, max(status.started, status.ended))
    return [
        {
            "attempt": attempt,
            "waited": sum(s.end - s.start for s in spans if s.kind == "waiting" and s.end == attempt.started),
            "starting": sum(
                s.end - s.start for s in spans if s.kind == "starting" and s.start == attempt.started
            ),
        }
        for attempt in step.attempts
    ]
