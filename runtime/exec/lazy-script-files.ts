import type {ScriptFiles} from './script-files.ts';

/** `ScriptFiles` that are opened at their first use: most containers get whole sets and nothing else. */
export function createLazyScriptFiles(open: () => Promise<ScriptFiles>): ScriptFiles {
  return {
    write: async (script) => (await open()).write(script),
    writeAll: async (scripts, options) => (await open()).writeAll(scripts, options),
    read: async (path) => (await open()).read(path),
    source: async (path) => (await open()).source(path),
    list: async (options) => (await open()).list(options),
    tree: async (options) => (await open()).tree(options),
    move: async (request) => (await open()).move(request),
    delete: async (path) => (await open()).delete(path),
  };
}
