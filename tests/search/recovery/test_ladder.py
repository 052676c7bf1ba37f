"""What is tried for the recovery alone: the same until the search goes on, however often it is interrupted."""

from __future__ import annotations

import optuna

from search.folder.run_folder import RunFolder
from search.recovery.ladder import TO_RECOVER, plan_ladder
from search.study.space_record import recorded_space
from search.study.study import load_run_study
from search.study.trials import LABEL

from .conftest import Finished


def test_what_an_interruption_left_of_it_is_planned_again_and_nothing_else(recovered: Finished) -> None:
    folder = RunFolder(recovered.result.folder)
    with load_run_study(folder) as study:
        space = recorded_space(study, folder.path)
        assert space is not None
        assert plan_ladder(study, space) == []
        labelled = [trial for trial in study.trials if trial.user_attrs.get(LABEL) == TO_RECOVER]
        assert len(labelled) > 1
        cut = optuna.create_study(directions=study.directions)
        for name, value in study.user_attrs.items():
            cut.set_user_attr(name, value)
        for trial in study.trials:
            if trial not in labelled[1:]:
                cut.add_trial(trial)
        planned = plan_ladder(cut, space)
    assert [plan.params for plan in planned] == [trial.params for trial in labelled[1:]]
    assert all(plan.attributes == {LABEL: TO_RECOVER} for plan in planned)
