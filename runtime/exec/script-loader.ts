import {join, sep} from 'node:path';
import {loadFilesThrough, readText} from '../platform/bun-plugin.ts';
import type {ScriptRef} from './call.ts';
import {bodyExport} from './wrap.ts';

export interface ScriptLoader {
  /** The script's module: either `bodyExport` or the author's own exports. */
  load(script: ScriptRef): Promise<Record<string, unknown>>;
  /** The same, where it has been loaded before. */
  loaded(script: ScriptRef): Record<string, unknown> | null;
  /** How far line 1 of an absolute path moved to the right. */
  firstLineShift(path: string): number;
}

/** Ends the name under which a body is loaded, so that the same file can be required by others as it stands. */
export const bodySuffix = '?call';

/** Imports the scripts below `directory`; the wrapped text of a body is read from the runtime's cache. */
export function createScriptLoader(directory: string): ScriptLoader {
  const compiled = new Map<string, string>();
  const shifts = new Map<string, number>();
  const modules = new Map<string, Record<string, unknown>>();
  loadFilesThrough(bodiesBelow(directory), async (name) => {
    const path = name.slice(0, -bodySuffix.length);
    const {text, firstLineShift} = parseCached(await readText(compiled.get(path) ?? ''));
    shifts.set(path, firstLineShift);
    return text;
  });
  return {
    async load(script) {
      const path = join(directory, script.file);
      if (script.compiled !== null) compiled.set(path, script.compiled);
      const module: Record<string, unknown> = await import(
        script.compiled === null ? path : `${path}${bodySuffix}`
      );
      modules.set(script.file, module);
      return module;
    },
    loaded: ({file}) => modules.get(file) ?? null,
    firstLineShift: (path) => shifts.get(path) ?? 0,
  };
}

export function bodyOf(module: Record<string, unknown>): unknown {
  return module[bodyExport];
}

function parseCached(json: string): {text: string; firstLineShift: number} {
  const {text, firstLineShift}: {text?: unknown; firstLineShift?: unknown} = JSON.parse(json);
  return {text: String(text), firstLineShift: Number(firstLineShift)};
}

function bodiesBelow(directory: string): RegExp {
  const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal(directory + sep)}.*\\.[jt]s${literal(bodySuffix)}$`);
}
