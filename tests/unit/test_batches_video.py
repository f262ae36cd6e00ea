"""Frames of whole videos are right; everything else is an error, in bounded time and memory."""

import io
import itertools
import os
import pickle
import signal
import struct
import subprocess
import sys
import time

import decord
import numpy as np
import pytest
import torch
from PIL import Image

from vlsuite.batches.video import VideoDecoder, VideoLimits, decode_video
from vlsuite.batches.video_container import promised_bytes
from vlsuite.batches.video_process import frame_numbers
from vlsuite.cli.tiny_video import tiny_video
from vlsuite.errors import BadSampleError

CLIP = tiny_video(num_frames=12, side=32)


@pytest.fixture(scope="module")
def decoder():
    with VideoDecoder(VideoLimits(seconds=5.0)) as shared:
        yield shared


def _kind(decoder, data, **options):
    with pytest.raises(BadSampleError) as found:
        decoder.decode(data, num_frames=2, **options)
    assert "\n" not in str(found.value)
    return found.value.kind


def test_frames_are_those_of_the_library(decoder):
    frames = decoder.decode(CLIP, num_frames=4)
    assert (frames.dtype, tuple(frames.shape)) == (torch.uint8, (4, 3, 32, 32))
    expected = decord.VideoReader(io.BytesIO(CLIP)).get_batch([1, 4, 7, 10]).asnumpy()
    np.testing.assert_array_equal(frames.permute(0, 2, 3, 1).numpy(), expected)
    red = frames[:, 0].float().mean(dim=(1, 2))
    assert (red.diff() > 50).all()  # the clip fades from blue to magenta


def test_draws_depend_on_the_generator_alone(decoder):
    one, same, other = (
        decoder.decode(CLIP, num_frames=4, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(decode_video(CLIP, num_frames=4, rng=np.random.default_rng(1)), one)


def test_part_of_a_video_in_seconds(decoder):
    frames = decoder.decode(CLIP, num_frames=6, seconds=(0.0, 0.6))  # 10 frames a second
    torch.testing.assert_close(frames, decoder.decode(CLIP, num_frames=12)[:6])
    assert _kind(decoder, CLIP, seconds=(7.0, 9.0)) == "no frames"
    with pytest.raises(ValueError, match="seconds"):
        decoder.decode(CLIP, num_frames=1, seconds=(2.0, 1.0))


@pytest.mark.parametrize(("total", "count"), [(40, 4), (41, 8), (7, 7), (1000, 3), (9, 1)])
def test_middles_are_those_of_frozen_in_time(total, count):
    # Its sample_frames (uniform): halfway between the ends of each np.linspace stretch.
    bounds = np.linspace(0, total, count + 1).astype(int)
    middles = [(a + b - 1) // 2 for a, b in itertools.pairwise(bounds)]
    assert frame_numbers(total, [None] * count) == middles
    for first, last, low, high in zip(
        frame_numbers(total, [0.0] * count),
        frame_numbers(total, [0.999999] * count),
        bounds[:-1],
        bounds[1:],
        strict=True,
    ):
        assert (first, last) == (low, high - 1)


def test_short_videos_repeat_frames():
    assert frame_numbers(2, [None] * 4) == [0, 0, 1, 1]
    assert frame_numbers(1, [0.99] * 3) == [0, 0, 0]


def _animation(form):
    stream = io.BytesIO()
    pictures = [Image.new("RGB", (32, 32), (80 * n, 0, 0)) for n in range(3)]
    pictures[0].save(stream, form, save_all=True, append_images=pictures[1:])
    return stream.getvalue()


def test_broken_videos_have_kinds(decoder):
    kinds = {
        "zero bytes": [b""],
        "truncated video": [CLIP[: len(CLIP) // 2], CLIP[:-1]],
        "broken video": [b"no video", bytes(5000), _animation("GIF")[:-40], b"RIFF" + bytes(4)],
    }
    for kind, cases in kinds.items():
        assert [_kind(decoder, data) for data in cases] == [kind] * len(cases)
    assert decoder.decode(CLIP, num_frames=1).shape == (1, 3, 32, 32)


def test_sizes_are_limited():
    with VideoDecoder(VideoLimits(max_bytes=100, seconds=5.0)) as small:
        assert _kind(small, CLIP) == "video too large"
    with VideoDecoder(VideoLimits(max_pixels=32 * 31, max_frames=11, seconds=5.0)) as small:
        assert _kind(small, CLIP) == "too many frames"
        assert _kind(small, CLIP, seconds=(0.0, 1.0)) == "too many pixels"


def test_memory_is_limited():
    large = struct.pack("<2i", 32, 32), struct.pack("<2i", 30_000, 30_000)
    bomb = CLIP.replace(large[0], large[1])
    assert bomb != CLIP
    with VideoDecoder(VideoLimits(memory_bytes=1 << 30, seconds=5.0)) as decoder:
        try:
            decoder.decode(bomb, num_frames=2)  # the pictures inside know their true size
        except BadSampleError as error:
            assert error.kind  # noqa: PT017
        assert decoder.decode(CLIP, num_frames=1).shape == (1, 3, 32, 32)


def _process_of(decoder):
    decoder.decode(CLIP, num_frames=1)
    assert decoder._process is not None
    return decoder._process


def test_hung_decoder_is_killed_and_replaced():
    with VideoDecoder(VideoLimits(seconds=0.5)) as decoder:
        first = _process_of(decoder)
        os.kill(first.pid, signal.SIGSTOP)
        start = time.monotonic()
        assert _kind(decoder, CLIP) == "video hung the decoder"
        assert time.monotonic() - start < 3
        assert first.poll() is not None
    with VideoDecoder() as decoder:
        assert _process_of(decoder).pid != first.pid


def test_crashed_decoder_is_replaced():
    with VideoDecoder() as decoder:
        first = _process_of(decoder)
        os.kill(first.pid, signal.SIGSTOP)
        killer = subprocess.Popen(
            ["sh", "-c", f"sleep 0.3; kill -SEGV {first.pid}; kill -CONT {first.pid}"]
        )
        assert _kind(decoder, CLIP) == "video crashed the decoder"
        killer.wait()
        assert _process_of(decoder).pid != first.pid


def test_decoder_dies_with_its_parent():
    code = (
        "import os; from tests.unit.test_batches_video import VideoDecoder, _process_of\n"
        "print(_process_of(VideoDecoder()).pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    child = int(done.stdout)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{child}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.02)
    pytest.fail("the decoder outlived its parent")


def test_forks_and_pickles_start_their_own():
    with VideoDecoder(VideoLimits(seconds=4.0)) as decoder:
        first = _process_of(decoder)
        child = os.fork()
        if child == 0:
            ok = _process_of(decoder).pid != first.pid
            decoder.close()
            os._exit(0 if ok else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert first.poll() is None
        assert _process_of(decoder) is first
        assert pickle.loads(pickle.dumps(decoder)).limits.seconds == 4  # noqa: S301


def test_decoding_process_imports_no_torch():
    code = (
        "import sys, vlsuite.batches.video_process\n"
        "sys.exit(any(m.split('.')[0] in ('torch', 'deepspeed') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_containers_know_their_size():
    assert promised_bytes(CLIP) == len(CLIP)
    box = struct.pack(">I4s", 16, b"ftyp") + bytes(8)
    movie = box + struct.pack(">I4sQ", 1, b"mdat", 1 << 40)
    assert promised_bytes(movie) == 16 + (1 << 40)
    assert promised_bytes(box + struct.pack(">I4s", 0, b"mdat") + bytes(50)) is None
    assert promised_bytes(box + bytes(4) + b"mdat") is None
    head = b"\x1a\x45\xdf\xa3\x84" + bytes(4)
    assert promised_bytes(head + b"\x18\x53\x80\x67\x41\x00" + bytes(256)) == 15 + 256
    assert promised_bytes(head + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(9)) is None
    for data in (b"", b"RIF", head[:5], b"\x1a\x45\xdf\xa3\x00", b"FLV\x01" + bytes(90)):
        assert promised_bytes(data) is None
