"""Broken videos end as errors, in bounded time and memory, in a process that can be killed."""

import io
import os
import pickle
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from data_pipelines.errors import BadSampleError, ConfigError, DataError
from data_pipelines.video.decoders import other_decoder
from data_pipelines.video.errors import MissingDecoderError
from data_pipelines.video.limits import DecodeLimits
from data_pipelines.video.process import ProcessLimits, VideoProcess
from data_pipelines.video.promised_size import promised_bytes
from data_pipelines.video.reader import VideoReader
from data_pipelines.video.sampler import FrameSampling
from tests.support.videos import encoded, number_shown
from vlsuite.cli.tiny_video import tiny_video

CLIP = tiny_video(num_frames=12, side=32)


@pytest.fixture(scope="module")
def process():
    with VideoProcess(ProcessLimits(seconds=20.0)) as shared:
        yield shared


def _kind(process, data, **options):
    with pytest.raises(BadSampleError) as found:
        process.sample(data, 2, **options)
    assert "\n" not in str(found.value)
    return found.value.kind


def test_frames_are_those_of_the_reader(process):
    with VideoReader.open(CLIP) as reader:
        expected, info = reader.frames([1, 4, 7, 10]), reader.info
        shown = reader.starts
    clip = process.sample(CLIP, 4)
    np.testing.assert_array_equal(clip.frames, expected)
    assert (clip.frames.dtype, clip.frames.shape) == (np.uint8, (4, 32, 32, 3))
    assert clip.numbers == (1, 4, 7, 10)
    assert clip.seconds == tuple(shown[[1, 4, 7, 10]])
    assert clip.sampling.to_json() == {
        "sampler": "segments",
        "num_frames": 4,
        "is_random": False,
    }
    np.testing.assert_array_equal(process.frames(CLIP, [1, 4, 7, 10]), expected)
    np.testing.assert_array_equal(process.frames_at(CLIP, [0.1, 0.4, 0.75, 1.0]), expected)
    told = process.info(CLIP)
    np.testing.assert_array_equal(told.starts, info.starts)
    assert (told.frames, told.fps, told.codec) == (info.frames, info.fps, info.codec)
    with pytest.raises(IndexError, match="of 12 frames"):
        process.frames(CLIP, [12])


def test_parts_are_the_frames_of_a_sample_and_the_process_goes_on(process):
    sampling = FrameSampling(sampler="segments", num_frames=11)
    sampled = process.sample(CLIP, 11)
    expected = sampled.frames
    for most in (1, 4, 11, 50):
        parts = list(process.sample_in_parts(CLIP, sampling, most=most))
        assert tuple(second for part in parts for second in part.seconds) == sampled.seconds
        assert [part.first for part in parts] == list(range(0, 11, most))
        np.testing.assert_array_equal(np.concatenate([p.frames for p in parts]), expected)
    small = process.sample_in_parts(CLIP, sampling, most=2, most_bytes=5 * 32 * 32 * 3)
    assert [part.first for part in small] == [0, 2, 7]
    pid = process.pid
    with pytest.raises(BadSampleError):
        list(process.sample_in_parts(CLIP[:400], sampling, most=4))
    assert process.pid == pid
    left = process.sample_in_parts(CLIP, sampling, most=1)
    next(left)
    left.close()
    np.testing.assert_array_equal(process.sample(CLIP, 11).frames, expected)


def test_what_is_too_much_at_once_comes_in_parts():
    limits = ProcessLimits(decode=DecodeLimits(max_output_bytes=4 * 32 * 32 * 3))
    with VideoProcess(limits) as small:
        with pytest.raises(BadSampleError, match="over the limit"):
            small.sample(CLIP, 8)
        sampling = FrameSampling(sampler="segments", num_frames=8)
        parts = list(small.sample_in_parts(CLIP, sampling, most=4))
        assert [len(part.frames) for part in parts] == [4, 4]


def test_draws_depend_on_the_generator_alone(process):
    one, same, other = (
        process.sample(CLIP, 4, generator=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one.numbers == same.numbers != other.numbers
    np.testing.assert_array_equal(one.frames, same.frames)
    assert one.sampling.is_random


def test_an_index_and_a_file_give_the_same(process, tmp_path):
    data = encoded("vob", "mpeg2video", options={"g": "12", "bf": "2"})
    path = tmp_path / "clip.mpg"
    path.write_bytes(data)
    index = process.make_index(data)
    for video in (data, path):
        for stored in (b"", index, b"no index", index[:-5]):
            clip = process.sample(video, 5, index=stored)
            assert tuple(map(number_shown, clip.frames)) == clip.numbers == (4, 13, 23, 32, 42)
    with pytest.raises(DataError, match="cannot read the video"):
        process.sample(tmp_path / "gone.mpg", 2)


def test_part_of_a_video_in_seconds(process):
    clip = process.sample(CLIP, 6, span=(0.0, 0.6))  # 10 frames a second
    assert clip.numbers == (0, 1, 2, 3, 4, 5)
    assert process.sample(CLIP, 2, span=(1.0, None)).numbers == (10, 11)
    assert _kind(process, CLIP, span=(7.0, 9.0)) == "no frames"
    assert _kind(process, CLIP, span=(2.0, 1.0)) == "no frames"


def _animation(form):
    stream = io.BytesIO()
    pictures = [Image.new("RGB", (32, 32), (80 * n, 0, 0)) for n in range(3)]
    pictures[0].save(stream, form, save_all=True, append_images=pictures[1:])
    return stream.getvalue()


def test_broken_videos_have_kinds(process):
    kinds = {
        "zero bytes": [b""],
        "truncated video": [CLIP[: len(CLIP) // 2], CLIP[:-1]],
        "broken video": [b"no video", bytes(5000), b"RIFF" + bytes(4), b"OggS" + bytes(600)],
    }
    for kind, cases in kinds.items():
        assert [_kind(process, data) for data in cases] == [kind] * len(cases)
    assert process.sample(CLIP, 1).frames.shape == (1, 32, 32, 3)
    assert process.sample(_animation("GIF"), 3).numbers == (0, 1, 2)


@pytest.mark.parametrize(
    "text",
    [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
        b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>',
    ],
)
def test_lists_that_name_other_files_are_not_followed(process, text):
    assert _kind(process, text * 20) == "broken video"


def test_a_picture_is_no_video(process):
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, "PNG")
    assert _kind(process, stream.getvalue()) == "broken video"


def test_sizes_are_limited():
    with VideoProcess(ProcessLimits(max_bytes=100, seconds=20.0)) as small:
        assert _kind(small, CLIP) == "video too large"
    few = DecodeLimits(max_frames=11)
    with VideoProcess(ProcessLimits(decode=few, seconds=20.0)) as small:
        assert _kind(small, CLIP) == "too many frames"
    little = DecodeLimits(max_output_bytes=2 * 32 * 32 * 3 - 1)
    with VideoProcess(ProcessLimits(decode=little, seconds=20.0)) as small:
        assert _kind(small, CLIP) == "too many pixels"
        assert small.sample(CLIP, 1).numbers == (5,)
    narrow = DecodeLimits(max_pixels=32 * 31)
    with VideoProcess(ProcessLimits(decode=narrow, seconds=20.0)) as small:
        assert _kind(small, CLIP) in ("too many pixels", "broken video", "no frames")


def test_memory_is_limited():
    large = struct.pack("<2i", 32, 32), struct.pack("<2i", 30_000, 30_000)
    bomb = CLIP.replace(large[0], large[1])
    assert bomb != CLIP
    with VideoProcess(ProcessLimits(memory_bytes=1 << 30, seconds=20.0)) as process:
        try:
            process.sample(bomb, 2)  # the pictures inside know their true size
        except BadSampleError as error:
            assert error.kind  # noqa: PT017
        assert process.sample(CLIP, 1).frames.shape == (1, 32, 32, 3)


def _process_of(process):
    process.sample(CLIP, 1)
    assert process._process is not None
    return process._process


def test_hung_decoder_is_killed_and_replaced():
    with VideoProcess(ProcessLimits(seconds=0.5)) as process:
        process.check()
        first = process._process
        os.kill(first.pid, signal.SIGSTOP)
        start = time.monotonic()
        assert _kind(process, CLIP) == "video hung the decoder"
        assert time.monotonic() - start < 5
        assert first.poll() is not None
    with VideoProcess() as process:
        assert _process_of(process).pid != first.pid


def test_crashed_decoder_is_replaced():
    with VideoProcess() as process:
        first = _process_of(process)
        os.kill(first.pid, signal.SIGSTOP)
        killer = subprocess.Popen(
            ["sh", "-c", f"sleep 0.3; kill -SEGV {first.pid}; kill -CONT {first.pid}"]
        )
        assert _kind(process, CLIP) == "video crashed the decoder"
        killer.wait()
        assert _process_of(process).pid != first.pid


def test_decoder_dies_with_its_parent():
    code = (
        "import os; from tests.unit.test_data_video_process import VideoProcess, _process_of\n"
        "print(_process_of(VideoProcess()).pid, flush=True); os.kill(os.getpid(), 9)"
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
    with VideoProcess(ProcessLimits(seconds=14.0)) as process:
        first = _process_of(process)
        child = os.fork()
        if child == 0:
            ok = _process_of(process).pid != first.pid
            process.close()
            os._exit(0 if ok else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert first.poll() is None
        assert _process_of(process) is first
        assert pickle.loads(pickle.dumps(process)).limits.seconds == 14  # noqa: S301


def test_decoding_process_imports_no_torch():
    code = (
        "import sys, data_pipelines.video.process_main\n"
        "sys.exit(any(m.split('.')[0] in ('torch', 'deepspeed', 'vlsuite') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("decoder", ["pyav", "torchcodec", "decord"])
def test_a_machine_without_the_decoder_says_so_in_one_line(tmp_path, monkeypatch, decoder):
    package = "av" if decoder == "pyav" else decoder
    (tmp_path / f"{package}.py").write_text("raise ImportError('libavcodec.so.62 is missing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with VideoProcess(ProcessLimits(seconds=20.0), decoder=decoder) as process:
        for attempt in (process.check, lambda: process.sample(CLIP, 2)):
            with pytest.raises(
                MissingDecoderError, match=r"cannot read videos.*libavcodec"
            ) as told:
                attempt()
            assert isinstance(told.value, ConfigError)
            assert not isinstance(told.value, BadSampleError)
            assert "\n" not in str(told.value)


def test_decoders_have_names():
    with pytest.raises(ConfigError, match="no video decoder 'ffmpeg'; choose pyav, torchcodec"):
        other_decoder("ffmpeg")


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
