import type {Deployment} from './control.ts';
import type {ScriptMount} from './script-settings.ts';

/** The text whose SHA-256 is a deployment's digest: equal for equal sets, in whatever order they are given. */
export function deploymentText({files, mounts}: Pick<Deployment, 'files' | 'mounts'>): string {
  const fileLines = files.map(({path, sha256}) => `${path}\0${sha256}\n`).sort();
  const mountLines = mounts.map((mount) => `\0${mountJson(mount)}\n`).sort();
  return [...fileLines, ...mountLines].join('');
}

function mountJson({path, file, settings}: ScriptMount): string {
  const {timeout_ms, methods, concurrency, warm, description} = settings;
  return JSON.stringify({
    path,
    file,
    settings: {timeout_ms, methods: methods?.toSorted(), concurrency, warm, description},
  });
}
