import {AppError} from '../../schemas/errors.ts';
import type {Issue} from '../../schemas/issue.ts';
import type {Clock} from '../platform/clock.ts';
import {createHelperProcess, HelperLost} from '../platform/helper-process.ts';
import type {InspectionName, InspectionResult, ScriptText} from './inspections.ts';

/** Finds out what is in scripts without running them, in a process of its own: a text may bring the parser down. */
export interface ScriptInspector {
  /** Why a script cannot be loaded; empty when it can. Never throws for what is in the text. */
  check(script: ScriptText): Promise<Issue[]>;
  /** Throws AppError SCRIPT_INVALID for a text that brings the parser down. */
  ask<N extends InspectionName>(inspection: N, script: ScriptText): Promise<InspectionResult<N>>;
  stop(): void;
}

/** The largest script takes a small part of it. */
const withinMs = 30_000;

/** `command` starts this program again; the word `script-inspector` is added. */
export function createScriptInspector({
  command,
  directory,
  clock,
}: {
  command: readonly string[];
  directory: string;
  clock: Clock;
}): ScriptInspector {
  const helper = createHelperProcess({
    command: [...command, 'script-inspector'],
    directory,
    clock,
    withinMs,
  });

  async function ask<N extends InspectionName>(
    inspection: N,
    {path, text}: ScriptText,
  ): Promise<InspectionResult<N>> {
    try {
      // `inspectorMain` answers with what the inspection of this name gives.
      return (await helper.ask({inspection, path, text})) as InspectionResult<N>;
    } catch (error) {
      if (!(error instanceof HelperLost)) throw error;
      throw new AppError('SCRIPT_INVALID', 'Script validation failed', {
        cause: error,
        details: {validation: [unparsable(path)]},
      });
    }
  }

  return {
    async check(script) {
      try {
        return await ask('check', script);
      } catch (error) {
        if (isUnparsable(error)) return [unparsable(script.path)];
        throw error;
      }
    },
    ask,
    stop: helper.stop,
  };
}

/** Tells a text that brings the parser down from a machine that fails. */
export function isUnparsable(error: unknown): boolean {
  return error instanceof AppError && error.code === 'SCRIPT_INVALID';
}

function unparsable(file: string): Issue {
  return {
    file,
    line: 1,
    column: 1,
    code: 'script_unparsable',
    message: 'The parser gave up on this script. It is nested too deeply or too large; split it.',
  };
}
