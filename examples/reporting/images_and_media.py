"""Debug samples: images of NumPy and Pillow, files, streams and addresses."""

import io
import wave
from pathlib import Path

import numpy as np
from PIL import Image

from dray import Logger, Task

task = Task.init("examples/reporting", "images and media")
logger = Logger.current_logger()
logger.set_default_debug_sample_history(3)

for step in range(5):
    noise = np.random.default_rng(step).random((16, 16, 3))
    logger.report_image("input", "noise", iteration=step, image=noise)
red = Image.new("RGB", (32, 16), "red")
logger.report_image("input", "red", iteration=0, image=red)

sound = io.BytesIO()
with wave.open(sound, "wb") as file:
    file.setparams((1, 1, 8000, 0, "NONE", ""))
    file.writeframes(bytes(800))
logger.report_media("sound", "silence", iteration=0, stream=sound, file_extension=".wav")

page = Path("page.html")
page.write_text("<h1>Report</h1>")
logger.report_media("page", "html", 0, local_path=str(page), delete_after_upload=True)
logger.report_media("page", "elsewhere", 0, url="https://example.org/report.html")
