# The parts of ubfd that run in the kernel. An object contains no kernel addresses: libbpf relocates it by the BTF of the
# kernel that loads it. The function ubf_add_bpf(NAME SOURCE HEADER...) makes the skeleton NAME.skel.h, which loads the
# object. The library ubf_bpf has all skeletons, and libbpf. Without the tools there is no such target.
set(UBF_BPF AUTO CACHE STRING "Let the kernel record owners and recognise users: ON, OFF, or AUTO where clang, bpftool and libbpf are there")
set_property(CACHE UBF_BPF PROPERTY STRINGS AUTO ON OFF)

function(ubf_find_bpf)
    if(UBF_BPF STREQUAL "OFF")
        message(STATUS "Built without BPF: UBF_BPF is OFF")
        return()
    endif()
    find_program(UBF_CLANG NAMES clang clang-14)
    find_program(UBF_BPFTOOL bpftool)
    pkg_check_modules(LIBBPF IMPORTED_TARGET GLOBAL libbpf>=1.0)
    if(UBF_CLANG AND UBF_BPFTOOL AND LIBBPF_FOUND)
        add_library(ubf_bpf INTERFACE)
        target_include_directories(ubf_bpf SYSTEM INTERFACE ${CMAKE_CURRENT_BINARY_DIR}/bpf)
        target_link_libraries(ubf_bpf INTERFACE PkgConfig::LIBBPF)
        return()
    endif()
    set(missing "Built without BPF: that takes clang, bpftool and libbpf 1.0")
    if(UBF_BPF STREQUAL "ON")
        message(FATAL_ERROR "${missing}")
    endif()
    message(STATUS "${missing}")
endfunction()

function(ubf_add_bpf name source)
    if(NOT TARGET ubf_bpf)
        return()
    endif()
    list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE headers)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/${source})
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/bpf)
    file(MAKE_DIRECTORY ${folder})
    set(object ${folder}/${name}.bpf.o)
    set(skeleton ${folder}/${name}.skel.h)
    # An object has no path of this machine, so that two builds are the same bit for bit.
    add_custom_command(OUTPUT ${skeleton}
        COMMAND ${UBF_CLANG} -target bpf -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror
            -ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -fdebug-compilation-dir=.
            -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -c ${source} -o ${object}.debug
        COMMAND ${UBF_BPFTOOL} gen object ${object} ${object}.debug # without DWARF
        COMMAND ${UBF_BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${skeleton}
        DEPENDS ${source} ${headers} VERBATIM)
    add_custom_target(ubf_bpf_${name} DEPENDS ${skeleton})
    add_dependencies(ubf_bpf ubf_bpf_${name})
endfunction()
