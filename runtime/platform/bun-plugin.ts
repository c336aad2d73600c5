/** Gives Bun the text of every file whose path matches `filter` as `load` says; paths and imports stay the file's own. */
export function loadFilesThrough(filter: RegExp, load: (path: string) => Promise<string>): void {
  Bun.plugin({
    name: 'branchtab-scripts',
    setup(build) {
      build.onLoad({filter}, async ({path}) => ({contents: await load(path), loader: loaderOf(path)}));
    },
  });
}

/** Rejects where the file cannot be read. Needs nothing of Node's file system, which takes a megabyte. */
export function readText(path: string): Promise<string> {
  return Bun.file(path).text();
}

function loaderOf(path: string): 'ts' | 'tsx' | 'js' | 'jsx' {
  const extension = /\.[cm]?([jt]sx?)(?:\?[^/]*)?$/.exec(path)?.[1];
  return extension === 'tsx' || extension === 'js' || extension === 'jsx' ? extension : 'ts';
}
