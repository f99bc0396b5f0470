# Warnings are errors; the same set for gcc and clang.
add_library(wb_warnings INTERFACE)
target_compile_options(wb_warnings INTERFACE
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
	-Wformat=2 -Wundef -Wvla -Wno-missing-field-initializers
	$<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
