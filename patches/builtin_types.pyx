"""Changes methods of types that are written in C, which refuse to be assigned to: `io.BufferedReader.read = ...`.

What such a type does through its slots (`iter(file)`) is not changed by this, only what is looked up by name.
"""

from cpython.object cimport PyTypeObject

cdef extern from *:
    """
    static PyObject *hublet_dict_of_type(PyTypeObject *cls) {
    #if PY_VERSION_HEX >= 0x030C0000
        return PyType_GetDict(cls);
    #else
        Py_XINCREF(cls->tp_dict);
        return cls->tp_dict;
    #endif
    }
    """
    object hublet_dict_of_type(PyTypeObject *cls)
    unsigned long PyType_GetFlags(PyTypeObject *cls)
    void PyType_Modified(PyTypeObject *cls)
    unsigned long Py_TPFLAGS_IMMUTABLETYPE


def is_builtin(holder):
    """Whether it is a type that is written in C, which `setattr` refuses."""
    return isinstance(holder, type) and (PyType_GetFlags(<PyTypeObject *>holder) & Py_TPFLAGS_IMMUTABLETYPE) != 0


def put(cls, name, value):
    """Replace what such a type has under a name. Raises KeyError where it has nothing."""
    names = hublet_dict_of_type(<PyTypeObject *>cls)
    names[name]
    names[name] = value
    PyType_Modified(<PyTypeObject *>cls)
