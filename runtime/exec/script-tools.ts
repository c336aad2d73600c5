import type {Clock} from '../platform/clock.ts';
import type {DeploymentStore} from './deployment-store.ts';
import {createScriptFiles, type ReplaceSet, type ScriptFiles} from './script-files.ts';
import {createScriptInspector, type ScriptInspector} from './script-inspector.ts';

/** What is needed only where scripts are looked at or changed one by one. */
export interface ScriptTools {
  readonly files: ScriptFiles;
  readonly inspector: ScriptInspector;
}

export function openScriptTools({
  store,
  root,
  command,
  clock,
  replaceSet,
}: {
  store: DeploymentStore;
  root: string;
  command: readonly string[];
  clock: Clock;
  replaceSet: ReplaceSet;
}): ScriptTools {
  const inspector = createScriptInspector({command, directory: root, clock});
  return {files: createScriptFiles({store, root, inspector, replaceSet}), inspector};
}
