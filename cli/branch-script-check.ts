import type {ScriptCheck} from '../reconciler/branch-files.ts';
import {scheduleIssues} from '../runtime/exec/schedule-comment.ts';

/** What is wrong in a script of a branch: what `check` finds in any script, and what only a branch must not say. */
export function branchScriptCheck(check: ScriptCheck): ScriptCheck {
  return async (script) => [...(await check(script)), ...scheduleIssues(script)];
}
