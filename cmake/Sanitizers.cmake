# -DSANITIZE=address|undefined builds everything with that sanitizer.
set(SANITIZE "" CACHE STRING "address, undefined or empty")
if(SANITIZE)
	add_compile_options(-fsanitize=${SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
	add_link_options(-fsanitize=${SANITIZE})
endif()
