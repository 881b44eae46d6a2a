# A thin entry; the build is CMake's (CMakePresets.json).
#
# - make: builds into build/release
# - sudo make demo: two nodes, a few users: who gets through, and why
# - sudo make test: every test
# - sudo make bench: the cost of ubfd, and the start of a job on 64 nodes
# - sudo make packages: Debian packages, into build/packages (packaging/rpm builds RPMs)
# - make fuzz: each fuzzer for a minute
# - make site: the pages as a site, in build/site; it takes mkdocs-material, mandoc and scdoc
# - make format, sudo make asan, sudo make coverage, sudo make install, make clean

# Under sudo, the files of the tree still belong to the tree's owner.
owner := $(shell stat -c %U .)
ifeq ($(shell id -u),0)
ifneq ($(filter-out root UNKNOWN,$(owner)),)
as_owner := runuser -u $(owner) --
to_owner := chown -R $(owner) build
endif
endif
# TRIES=2: a test that fails gets another try. Tests wait more than they compute.
run_tests = ctest -j $$(($$(nproc) + 1)) $(if $(TRIES),--repeat until-pass:$(TRIES)) --output-junit results.xml $(1); status=$$?; $(or $(to_owner),:); exit $$status

.PHONY: build tools demo-tools test-tools packages demo test bench fuzz asan tsan coverage site format install clean
.DEFAULT_GOAL := build

tools:
	@tests/install-packages

test-tools:
	@tests/install-packages test

demo-tools:
	@tests/install-packages demo

build: tools
	@$(as_owner) cmake --preset release > /dev/null
	@$(as_owner) cmake --build --preset release

# Only what the demo needs, in a tree of its own.
demo: demo-tools
	@echo "Building ubfd and ubfctl, which takes a few minutes..."
	@$(as_owner) cmake --preset demo > /dev/null
	@$(as_owner) sh -c 'cmake --build --preset demo > build/demo/log || { cat build/demo/log; exit 1; }'
	@PYTHONDONTWRITEBYTECODE=1 tests/demo/demo --build build/demo

test: test-tools build
	@$(call run_tests,--preset release)

bench: build
	@tests/bench/run --build build/release
	@tests/scale/scale --build build/release

fuzz: test-tools
	@$(as_owner) tests/fuzz/build
	@for fuzzer in $$(ls tests/fuzz/seeds); do \
	    echo "$$fuzzer:"; \
	    $(as_owner) tests/fuzz/run $$fuzzer 60 2>&1 | grep -E 'DONE|ERROR|failed-'; \
	done

asan: test-tools
	@$(as_owner) cmake --preset asan > /dev/null
	@$(as_owner) cmake --build --preset asan
	@$(call run_tests,--preset asan -L 'unit|netns|portal')

tsan: test-tools
	@$(as_owner) cmake --preset tsan > /dev/null
	@$(as_owner) cmake --build --preset tsan
	@$(call run_tests,--preset tsan -L 'unit|netns|portal')

# Lines that the tests reach, without those of guests.
coverage: test-tools
	@command -v gcovr > /dev/null || apt-get install -qq -y --no-install-recommends gcovr < /dev/null > /dev/null
	@$(as_owner) cmake --preset coverage > /dev/null
	@$(as_owner) cmake --build --preset coverage
	@-$(call run_tests,--preset coverage -L 'unit|netns|portal')
	@gcovr --root . --filter lib/ --filter nft/ --filter daemon/ --print-summary build/coverage

# In a root of their own, from what is committed.
packages:
	@command -v mmdebstrap > /dev/null || apt-get install -qq -y --no-install-recommends mmdebstrap < /dev/null > /dev/null
	@packaging/clean-deb

site:
	@$(as_owner) mkdocs build --quiet --strict -f packaging/mkdocs.yml

format:
	@git ls-files -co --exclude-standard '*.c' '*.cpp' '*.hpp' | xargs clang-format -i

install: build
	@cmake --install build/release

clean:
	@rm -rf build
