"""Names of frameworks as models carry them, and which of them a file's name speaks of.

Part of the child's path: nothing is imported.
"""

from __future__ import annotations


class Framework:
    """Frameworks of models, as plain text: ``Framework.pytorch == "PyTorch"``."""

    tensorflow = "TensorFlow"
    tensorflowjs = "TensorFlow_js"
    tensorflowlite = "TensorFlow_Lite"
    pytorch = "PyTorch"
    torchscript = "TorchScript"
    caffe = "Caffe"
    caffe2 = "Caffe2"
    onnx = "ONNX"
    keras = "Keras"
    mknet = "MXNet"
    cntk = "CNTK"
    torch = "Torch"
    darknet = "Darknet"
    paddlepaddle = "PaddlePaddle"
    scikitlearn = "ScikitLearn"
    xgboost = "XGBoost"
    lightgbm = "LightGBM"
    parquet = "Parquet"
    megengine = "MegEngine"
    catboost = "CatBoost"
    tensorrt = "TensorRT"
    openvino = "OpenVINO"

    @classmethod
    def get_framework_parents(cls, framework: str) -> list[str]:
        """The families a framework belongs to, as switches of ``auto_connect_frameworks``."""
        return [family for family, members in _FAMILIES.items() if framework in members]


_FAMILIES = {
    "tensorflow": (
        Framework.tensorflow,
        Framework.tensorflowjs,
        Framework.tensorflowlite,
        Framework.keras,
    ),
    "pytorch": (Framework.pytorch,),
    "xgboost": (Framework.xgboost,),
    "lightgbm": (Framework.lightgbm,),
    "catboost": (Framework.catboost,),
    "joblib": (Framework.scikitlearn, Framework.xgboost),
}
#: Ending of a file's name → whose it is when nobody said; the first that fits counts.
_BY_ENDING = (
    ("model.json", Framework.tensorflowjs),
    ("predict_net.pbtxt", Framework.caffe2),
    ("predict_net.pb", Framework.caffe2),
    ("-symbol.json", Framework.mknet),
    ("__model__", Framework.paddlepaddle),
    (".pb", Framework.tensorflow),
    (".meta", Framework.tensorflow),
    (".pbtxt", Framework.tensorflow),
    (".tflite", Framework.tensorflowlite),
    (".pth", Framework.pytorch),
    (".pt", Framework.pytorch),
    (".caffemodel", Framework.caffe),
    (".prototxt", Framework.caffe),
    (".onnx", Framework.onnx),
    (".h5", Framework.keras),
    (".hdf5", Framework.keras),
    (".keras", Framework.keras),
    (".model", Framework.mknet),
    (".cntk", Framework.cntk),
    (".t7", Framework.torch),
    (".cfg", Framework.darknet),
    (".pkl", Framework.scikitlearn),
    (".parquet", Framework.parquet),
    (".cbm", Framework.catboost),
    (".plan", Framework.tensorrt),
)


def framework_of(filename: str) -> str:
    """The framework whose files are called like this; empty when none is known."""
    lowered = filename.partition("?")[0].lower()
    return next((found for ending, found in _BY_ENDING if lowered.endswith(ending)), "")
