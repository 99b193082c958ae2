// One function a verb. Each answers with the status to end with, or with why it could not be done.
#pragma once

#include "supervisor/cli/context.h"
#include "supervisor/cli/options.h"

namespace bulkhead {

Outcome<int> run_verb(const Context& context, const RunOptions& options);
Outcome<int> sandbox_run_verb(const Context& context, const SandboxRunOptions& options);
Outcome<int> sandbox_plan_verb(const Context& context, const SandboxPlanOptions& options);
Outcome<int> policy_check_verb(const Context& context, const PolicyCheckOptions& options);
Outcome<int> policy_diff_verb(const Context& context, const PolicyDiffOptions& options);
Outcome<int> policy_learn_verb(const Context& context, const PolicyLearnOptions& options);
Outcome<int> config_verb(const Context& context, const ConfigOptions& options);
Outcome<int> diff_verb(const Context& context, const DiffOptions& options);
Outcome<int> log_verb(const Context& context, const LogOptions& options);
Outcome<int> output_verb(const Context& context, const LogOptions& options);
Outcome<int> apply_verb(const Context& context, const ApplyOptions& options);
Outcome<int> shell_verb(const Context& context, const ShellOptions& options);
Outcome<int> journal_verb(const Context& context, const JournalOptions& options);
Outcome<int> ps_verb(const Context& context, const PsOptions& options);
Outcome<int> kill_verb(const Context& context, const KillOptions& options);
Outcome<int> clean_verb(const Context& context, const CleanOptions& options);
Outcome<int> doctor_verb(const Context& context, const DoctorOptions& options);

}  // namespace bulkhead
