# Unverified: no Conan has seen this yet. In the source tree: conan create cmake/packaging/conan --build=missing
import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class WeirConan(ConanFile):
    name = "weir"
    version = "0.1.0"
    description = "A C++20 library that runs graphs of functions, as LangGraph does"
    license = "Apache-2.0"
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False]}
    default_options = {"shared": False, "fPIC": True}
    implements = ["auto_shared_fpic"]

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..", "..")
        for folder in "channels", "checkpoint", "stream", "runtime", "cmake":
            copy(self, f"{folder}/*", root, self.export_sources_folder)
        for file in "CMakeLists.txt", "LICENSE", "tests/checkpoint/checkpointer_conformance.h":
            copy(self, file, root, self.export_sources_folder)

    def requirements(self):
        self.requires("abseil/20230802.1", transitive_headers=True, transitive_libs=True)
        self.requires("onetbb/2021.12.0")
        self.requires("sqlite3/3.45.0")
        self.requires("xxhash/0.8.2")
        self.requires("zstd/1.5.5")

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["WEIR_BUILD_TESTS"] = False
        toolchain.cache_variables["WEIR_BUILD_EXAMPLES"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        # weir's own weirConfig.cmake.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs.append(os.path.join("lib", "cmake", "weir"))
