# The target lf_jpeg_library: libjpeg-turbo through its classic jpeglib.h.
#
# LIPSYNC_FAST_JPEG (CMake or environment variable) says from where:
#   auto     the system's if it is there and fit, else bundled; the default
#   system   the system's, or an error
#   bundled  a pinned release, built here, static, with hidden symbols
# LIPSYNC_FAST_JPEG_SOURCE (likewise) names a libjpeg-turbo source, a tarball or a folder, to
# build instead of downloading the pinned one.
include(CheckCSourceCompiles)
include(ExternalProject)

set(lf_jpeg_version 3.1.2)
set(lf_jpeg_url https://github.com/libjpeg-turbo/libjpeg-turbo/releases/download/${lf_jpeg_version}/libjpeg-turbo-${lf_jpeg_version}.tar.gz)
set(lf_jpeg_sha256 8f0012234b464ce50890c490f18194f913a7b1f4e6a03d6644179fa0f867d0cf)
set(lf_jpeg_packages "Debian and Ubuntu: libjpeg-dev; Fedora: libjpeg-turbo-devel; Homebrew: jpeg-turbo")

function(lf_jpeg_setting name default result)
  if(NOT "${${name}}" STREQUAL "")
    set(${result} "${${name}}" PARENT_SCOPE)
  elseif(NOT "$ENV{${name}}" STREQUAL "")
    set(${result} "$ENV{${name}}" PARENT_SCOPE)
  else()
    set(${result} "${default}" PARENT_SCOPE)
  endif()
endfunction()

# Whether JPEG::JPEG is libjpeg-turbo and can be linked into a module.
function(lf_jpeg_system_is_fit result)
  find_package(JPEG QUIET)
  if(JPEG_FOUND)
    set(CMAKE_REQUIRED_LIBRARIES JPEG::JPEG)
    if(UNIX AND NOT APPLE) # a static library that is not position-independent fails only here
      set(CMAKE_REQUIRED_FLAGS -fPIC)
      set(CMAKE_REQUIRED_LINK_OPTIONS -shared -Wl,-z,defs)
    endif()
    check_c_source_compiles("
      #include <stdio.h>
      #include <jpeglib.h>
      #ifndef JCS_EXTENSIONS
      #error not libjpeg-turbo
      #endif
      int main(void)
      {
        struct jpeg_compress_struct c;
        jpeg_create_compress(&c);
        return (int)JCS_EXT_BGRX;
      }" lf_jpeg_system_links)
  endif()
  set(${result} "${lf_jpeg_system_links}" PARENT_SCOPE)
endfunction()

# The pinned tarball, downloaded once into the build folder; `result` is empty if that failed and
# `problem` says why.
function(lf_jpeg_download result problem)
  set(tarball ${CMAKE_BINARY_DIR}/libjpeg-turbo-${lf_jpeg_version}.tar.gz)
  set(sum "")
  if(EXISTS ${tarball})
    file(SHA256 ${tarball} sum)
  endif()
  if(NOT sum STREQUAL lf_jpeg_sha256)
    message(STATUS "libjpeg-turbo ${lf_jpeg_version}: downloading ${lf_jpeg_url}")
    file(DOWNLOAD ${lf_jpeg_url} ${tarball} STATUS status TIMEOUT 120)
    list(GET status 0 code)
    if(code)
      list(GET status 1 text)
      set(${result} "" PARENT_SCOPE)
      set(${problem} "${lf_jpeg_url} could not be downloaded (${text})" PARENT_SCOPE)
      return()
    endif()
    file(SHA256 ${tarball} sum)
    if(NOT sum STREQUAL lf_jpeg_sha256)
      set(${result} "" PARENT_SCOPE)
      set(${problem} "${lf_jpeg_url} has SHA-256 ${sum}, not ${lf_jpeg_sha256}" PARENT_SCOPE)
      return()
    endif()
  endif()
  set(${result} ${tarball} PARENT_SCOPE)
endfunction()

# The folder that holds a source's CMakeLists.txt, unpacked if it is a tarball; empty if it is
# not libjpeg-turbo.
function(lf_jpeg_unpack source result)
  set(${result} "" PARENT_SCOPE)
  get_filename_component(source ${source} ABSOLUTE)
  if(NOT IS_DIRECTORY ${source})
    if(NOT EXISTS ${source})
      return()
    endif()
    set(folder ${CMAKE_BINARY_DIR}/libjpeg-turbo-source)
    file(REMOVE_RECURSE ${folder})
    file(MAKE_DIRECTORY ${folder})
    execute_process(COMMAND ${CMAKE_COMMAND} -E tar xf ${source} WORKING_DIRECTORY ${folder}
      OUTPUT_QUIET ERROR_QUIET)
    file(GLOB source LIST_DIRECTORIES true ${folder}/*)
  endif()
  if(EXISTS ${source}/CMakeLists.txt AND
      (EXISTS ${source}/src/jpeglib.h OR EXISTS ${source}/jpeglib.h))
    set(${result} ${source} PARENT_SCOPE)
  endif()
endfunction()

function(lf_jpeg_warn_without_assembler)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64|i.86)$" AND
      NOT CMAKE_OSX_ARCHITECTURES MATCHES "arm64")
    find_program(LIPSYNC_FAST_NASM NAMES nasm yasm HINTS ENV ASM_NASM)
    if(NOT LIPSYNC_FAST_NASM AND "$ENV{ASM_NASM}" STREQUAL "")
      message(WARNING
        "nasm is missing: libjpeg-turbo is built without SIMD and JPEG takes 6 to 7 times as "
        "long; install nasm and build again")
    endif()
  endif()
endfunction()

# lf_jpeg_library from the source in `folder`.
function(lf_jpeg_build folder)
  lf_jpeg_warn_without_assembler()
  set(binary ${CMAKE_BINARY_DIR}/libjpeg-turbo)
  set(library ${binary}/lf/${CMAKE_STATIC_LIBRARY_PREFIX}jpeg${CMAKE_STATIC_LIBRARY_SUFFIX})
  if(MSVC)
    set(library ${binary}/lf/jpeg-static.lib)
  endif()
  set(inherited "")
  foreach(name IN ITEMS C_COMPILER C_COMPILER_TARGET TOOLCHAIN_FILE SYSTEM_NAME SYSTEM_PROCESSOR
      SYSROOT OSX_DEPLOYMENT_TARGET OSX_SYSROOT ASM_NASM_COMPILER MAKE_PROGRAM)
    if((NOT name MATCHES "^SYSTEM_" OR CMAKE_CROSSCOMPILING) AND NOT "${CMAKE_${name}}" STREQUAL "")
      list(APPEND inherited "-DCMAKE_${name}=${CMAKE_${name}}")
    endif()
  endforeach()
  string(REPLACE ";" "|" architectures "${CMAKE_OSX_ARCHITECTURES}")
  if(architectures)
    list(APPEND inherited "-DCMAKE_OSX_ARCHITECTURES=${architectures}")
  endif()
  cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
  ExternalProject_Add(lf_libjpeg_turbo
    SOURCE_DIR ${folder}
    BINARY_DIR ${binary}
    LIST_SEPARATOR |
    CMAKE_ARGS -Wno-dev --no-warn-unused-cli ${inherited}
      -DCMAKE_BUILD_TYPE=Release
      -DCMAKE_POSITION_INDEPENDENT_CODE=ON
      -DCMAKE_C_VISIBILITY_PRESET=hidden
      -DCMAKE_POLICY_DEFAULT_CMP0063=NEW
      -DCMAKE_POLICY_VERSION_MINIMUM=3.5
      -DCMAKE_ARCHIVE_OUTPUT_DIRECTORY=${binary}/lf
      -DCMAKE_ARCHIVE_OUTPUT_DIRECTORY_RELEASE=${binary}/lf
      -DENABLE_SHARED=OFF -DENABLE_STATIC=ON
      -DWITH_TURBOJPEG=OFF -DWITH_CRT_DLL=ON
    BUILD_COMMAND ${CMAKE_COMMAND} --build ${binary} --target jpeg-static --config Release
      --parallel ${cores}
    INSTALL_COMMAND ""
    BUILD_BYPRODUCTS ${library})
  file(MAKE_DIRECTORY ${binary})
  add_library(lf_jpeg_static STATIC IMPORTED GLOBAL)
  set_target_properties(lf_jpeg_static PROPERTIES IMPORTED_LOCATION ${library})
  target_include_directories(lf_jpeg_static INTERFACE ${binary} ${folder}/src ${folder})
  add_dependencies(lf_jpeg_static lf_libjpeg_turbo)
  target_link_libraries(lf_jpeg_library INTERFACE lf_jpeg_static)
  target_compile_definitions(lf_jpeg_library INTERFACE LF_JPEG_BUNDLED=1)
endfunction()

function(lf_jpeg_choose)
  lf_jpeg_setting(LIPSYNC_FAST_JPEG auto way)
  lf_jpeg_setting(LIPSYNC_FAST_JPEG_SOURCE "" source)
  if(NOT way MATCHES "^(auto|system|bundled)$")
    message(FATAL_ERROR "LIPSYNC_FAST_JPEG must be auto, system or bundled, got ${way}")
  endif()
  if(NOT way STREQUAL "bundled")
    lf_jpeg_system_is_fit(fit)
    if(fit)
      message(STATUS "libjpeg-turbo: the system's")
      target_link_libraries(lf_jpeg_library INTERFACE JPEG::JPEG)
      return()
    elseif(way STREQUAL "system")
      message(FATAL_ERROR
        "LIPSYNC_FAST_JPEG=system needs libjpeg-turbo's headers and library, found none; install "
        "them (${lf_jpeg_packages})")
    endif()
  endif()
  set(problem "LIPSYNC_FAST_JPEG_SOURCE=${source} is not a libjpeg-turbo source")
  if(NOT source)
    lf_jpeg_download(source problem)
  endif()
  if(source)
    lf_jpeg_unpack(${source} folder)
  endif()
  if(NOT folder)
    message(FATAL_ERROR
      "libjpeg-turbo is needed: ${problem}; install its development package (${lf_jpeg_packages}) "
      "or name a source tarball with LIPSYNC_FAST_JPEG_SOURCE")
  endif()
  message(STATUS "libjpeg-turbo: built from ${source}")
  lf_jpeg_build(${folder})
endfunction()

add_library(lf_jpeg_library INTERFACE)
lf_jpeg_choose()
