#ifndef WEIR_TESTS_CHECKPOINT_TEMP_FOLDER_H_
#define WEIR_TESTS_CHECKPOINT_TEMP_FOLDER_H_

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace weir {

// A folder of a test's own, gone with all that is in it when this ends. In
// memory if it can be: no test here needs the disk, and waiting for it is most
// of the time that they take.
class TempFolder {
 public:
  TempFolder() : path_(Parent() + "weir-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) {
      throw std::runtime_error("no folder can be made as " + path_);
    }
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  static std::string Parent() {
    return access("/dev/shm", W_OK) == 0
               ? "/dev/shm/"
               : std::filesystem::temp_directory_path().string() + "/";
  }

  std::string path_;
};

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_TEMP_FOLDER_H_
