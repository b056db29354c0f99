# The target lf_jpeg_library: libjpeg-turbo through its classic jpeglib.h.
find_package(JPEG REQUIRED)
add_library(lf_jpeg_library INTERFACE)
target_link_libraries(lf_jpeg_library INTERFACE JPEG::JPEG)
