"""`egoreact stream`: a video's or a camera's motion, shown as it comes, and written in the end."""

import threading
from pathlib import Path

from egoreact.client.dialogue import Event
from egoreact.client.display import Display
from egoreact.client.live import LiveSession
from egoreact.client.sources import Camera, paced_frames
from egoreact.client.streams import stream_in_turn, stream_pictures
from egoreact.client.tally import check_suffix
from egoreact.errors import EgoReactError


def show_stream(
    url: str,
    source: Path | Camera,
    *,
    seed: int = 0,
    token: str | None = None,
    realtime: bool = True,
    keep_place: bool = False,
    consent_to_record: bool = False,
    out: Path | None = None,
) -> None:
    """Streams until the source ends or Ctrl-C, prints the summary, and writes the motion to `out`.

    Raises:
        EgoReactError: the source or the service failed; what came before that is written all the same.
    """
    if out is not None:
        check_suffix(out)
    if isinstance(source, Path) and not source.is_file():
        raise EgoReactError("no such file", where=source, remedy="check the path")
    shown: list[Display] = []

    def say(event: Event) -> None:
        for display in shown:
            display.say(event)

    session = LiveSession(
        url, seed=seed, token=token, keep_place=keep_place, consent_to_record=consent_to_record, on_event=say
    )
    display = Display(session.hello, source.name)
    shown.append(display)
    try:
        with session, display:
            stop = threading.Event()
            if isinstance(source, Path) and not realtime:
                chunks = stream_in_turn(session, source)
            else:
                pictures = paced_frames(source, stop) if isinstance(source, Path) else source.pictures(stop)
                chunks = stream_pictures(session, pictures, stop)
            for chunk in chunks:
                display.show(chunk)
    except KeyboardInterrupt:
        pass  # as asked: what came is summed up and written
    finally:
        if out is not None and display.tally.chunks:
            display.tally.write(out)
        print(display.tally.summary(), flush=True)
