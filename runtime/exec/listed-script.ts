import {extname} from 'node:path';
import type {ListedScript, ScriptFilter} from '../../schemas/exec-scripts.ts';
import {readMagicComments, redactMagicComments} from './magic-comments.ts';

/** A script as lists show it, with what its comments say. */
export function listedScript(
  path: string,
  {bytes, modified}: {bytes: Uint8Array; modified: Date},
): ListedScript {
  const isScript = /\.[jt]s$/.test(path);
  const comments = isScript ? readMagicComments(new TextDecoder().decode(bytes)) : {};
  return {
    name: path.slice(path.lastIndexOf('/') + 1),
    path,
    isDirectory: false,
    size: bytes.byteLength,
    modified: modified.toISOString(),
    extension: extname(path),
    ...(isScript ? {enabled: comments.enabled !== 'false', mode: modeOf(comments)} : {}),
    ...(comments.label === undefined ? {} : {label: comments.label}),
    ...(comments.description === undefined ? {} : {description: comments.description}),
    ...(comments.tags === undefined ? {} : {tags: tagsOf(comments.tags)}),
    ...(Object.keys(comments).length === 0 ? {} : {magicComments: redactMagicComments(comments)}),
  };
}

/** True where every given filter is met; `filter` looks for its text in the path. */
export function matchesFilter(script: ListedScript, wanted: ScriptFilter): boolean {
  const {filter, label, tags, mode, enabled, websocket} = wanted;
  return (
    (filter === undefined || script.path.includes(filter)) &&
    (label === undefined || script.label === label) &&
    (tags === undefined || tagsOf(tags).every((tag) => script.tags?.includes(tag))) &&
    (mode === undefined || script.mode === mode) &&
    (enabled === undefined || script.enabled === enabled) &&
    (websocket === undefined || (script.magicComments?.websocket !== undefined) === websocket)
  );
}

function modeOf({mode}: Readonly<Record<string, string>>): 'serverless' | 'worker' {
  return mode === 'worker' ? 'worker' : 'serverless';
}

function tagsOf(text: string): string[] {
  return text
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
}
