# `make drive` and `make test` do all the set-up; a second call does none. Nothing but Python 3.10 to 3.12 is needed.
#
# make test        the whole suite; make test-fast: unit tests but the slow ones; make test-long: overfit and smoke trainings
# make test-jazzy  the contract tests of nodes and graph under ROS 2 Jazzy, numpy 1 and OpenCV 4, in an environment beside .venv
# make test-devkit reader and AP of nuScenes beside nuscenes-devkit, in an environment beside .venv
# make lint        ruff and mypy
#
# In a shell where ROS 2 is sourced the distribution's rclpy and messages are used; elsewhere the wheels of the lock file.
# PYTHON=python3.11   the interpreter the environment is made from
# ARGS="..."          more arguments for the command (see `make help`)

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.10 || command -v python3)
VENV   := .venv
PY     := $(VENV)/bin/python
KD     := $(VENV)/bin/kd-planner
SOURCED_ROS := $(shell [ -n "$$ROS_DISTRO" ] && python3 -c 'import rclpy' 2>/dev/null && echo yes)
LOCK   := $(if $(SOURCED_ROS),requirements/sourced_ros.lock,requirements/plain.lock)
READY  := $(VENV)/ready-$(notdir $(basename $(LOCK)))
JAZZY  := .venv-jazzy
READY_JAZZY := $(JAZZY)/ready-jazzy
DEVKIT := .venv-devkit
READY_DEVKIT := $(DEVKIT)/ready-devkit

.PHONY: help drive test test-fast test-long test-jazzy test-devkit lint setup colcon clean

help:
	@sed -n '1,11s/^# \{0,1\}//p' Makefile
	@echo "targets: setup, drive, test, test-fast, test-long, test-jazzy, test-devkit, lint, colcon, clean; e.g.  make drive ARGS='--planner constant_velocity'"

setup: $(READY)

$(READY): $(LOCK) setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 12) else "expected Python 3.10 to 3.12; got %d.%d; name one, e.g. make PYTHON=python3.11" % v)'
	$(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --requirement $(LOCK)
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

drive: $(READY)
	$(KD) drive $(ARGS)

# pytest rewrites the asserts of every test file and the tests' processes compile the package: kept bytecode spares a worker 8 s.
test test-fast test-long test-jazzy test-devkit: export PYTHONDONTWRITEBYTECODE :=

# Three workers for two cores: tests of nodes and processes wait for each other, and another worker works meanwhile.
# Tests marked "alone" measure time: they run after the others, in one process, which imports the files that hold one and no others.
ALONE := $(shell grep -rl --include='test_*.py' '^@pytest.mark.alone' test)
test: $(READY)
	$(PY) -m pytest -n 3 --dist loadfile -m "not alone and not long" $(ARGS)
	$(PY) -m pytest -m "alone and not long" $(ALONE) $(ARGS) || [ $$? -eq 5 ]

test-fast: $(READY)
	$(PY) -m pytest -n 2 --dist loadfile -m "not alone and not long and not slow" test/unit $(ARGS)

test-long: $(READY)
	$(PY) -m pytest -m long $(ARGS) || [ $$? -eq 5 ]

# A copy of .venv by hard links, in which pip then exchanges the wheels that differ: no second torch on disk.
$(READY_JAZZY): requirements/jazzy.lock $(READY)
	@[ -z "$(SOURCED_ROS)" ] || { echo "expected a shell without ROS 2; got $$ROS_DISTRO; 'make test' tests the sourced distribution"; exit 2; }
	rm -rf $(JAZZY)
	cp -al $(VENV) $(JAZZY)
	rm -f $(JAZZY)/ready-*
	sed -i '1s|^#!.*/$(VENV)/bin/python.*|#!$(CURDIR)/$(JAZZY)/bin/python|' $$(grep -slI '^#!.*/$(VENV)/bin/python' $(JAZZY)/bin/*)
	$(JAZZY)/bin/python -m pip uninstall --quiet --yes $$($(JAZZY)/bin/python -m pip freeze | sed -n 's/^\(ros-[^=]*\)==.*/\1/p')
	$(JAZZY)/bin/python -m pip install --quiet --no-deps --requirement requirements/jazzy.lock
	@touch $@

test-jazzy: $(READY_JAZZY)
	$(JAZZY)/bin/python -m pytest -n 2 --dist loadfile -m "not alone and not long" test/contract/ros test/unit/ros $(ARGS)

# The devkit wants numpy 1: its environment has its own packages, and those of .venv where it has none.
$(READY_DEVKIT): $(READY)
	$(PY) -m venv --clear $(DEVKIT)
	$(DEVKIT)/bin/python -m pip install --quiet nuscenes-devkit==1.2.0
	echo "import site; site.addsitedir('$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" \
	  > "$$($(DEVKIT)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth"
	@touch $@

test-devkit: $(READY_DEVKIT)
	$(DEVKIT)/bin/python -m pytest -k devkit test/unit/bags/test_nuscenes_devkit.py test/unit/evaluation/test_detected_reference.py $(ARGS)

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m mypy

colcon: $(READY)
	PY=$(CURDIR)/$(PY) bash test/colcon/run.sh

clean:
	rm -rf $(VENV) $(JAZZY) $(DEVKIT) build install log
