import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';

/** What a program for another kind of machine is made of. */
export interface ForeignMachine {
  readonly target: 'bun-linux-x64' | 'bun-linux-arm64';
  readonly bunPath: string;
  readonly parserBindingPath: string;
}

/** How every form of the program is bundled: minified, with the script parser's native library beside or inside it. */
const program = (bindingPath: string) =>
  ({
    target: 'bun',
    minify: true,
    loader: {'.node': 'file'},
    plugins: [
      {
        name: 'parser-binding',
        setup(build) {
          build.onResolve({filter: /^branchtab:parser-binding$/}, () => ({path: bindingPath}));
        },
      },
    ],
  }) satisfies Partial<Bun.BuildConfig>;

/**
 * Bundles `entry` with everything it imports into `directory`, as `<name of the entry>.js`, the parts that it loads
 * later and the native libraries it needs. Throws an AggregateError with the bundler's messages.
 */
export async function bundleProgram({entry, directory}: {entry: string; directory: string}): Promise<void> {
  await Bun.build({
    ...program(parserBindingPath()),
    entrypoints: [entry],
    outdir: directory,
    sourcemap: 'linked',
    // What is imported lazily stays on disk until it is needed.
    splitting: true,
    naming: {entry: '[name].[ext]', chunk: '[name]-[hash].[ext]', asset: '[name].[ext]'},
  });
}

/**
 * Compiles `entry` with everything it imports, and Bun itself, into the executable `outfile`, for this machine unless
 * `foreign` is another. The code is translated ahead, so that it starts without being parsed. `commit` is what it says
 * it was made from. Throws an AggregateError with the bundler's messages.
 */
export async function compileProgram({
  entry,
  outfile,
  commit,
  foreign,
}: {
  entry: string;
  outfile: string;
  commit: string | null;
  foreign: ForeignMachine | null;
}): Promise<void> {
  await Bun.build({
    ...program(foreign?.parserBindingPath ?? parserBindingPath()),
    entrypoints: [entry],
    bytecode: true,
    define: {BRANCHTAB_COMMIT: JSON.stringify(commit)},
    compile: {
      outfile,
      ...(foreign === null ? {} : {target: foreign.target, executablePath: foreign.bunPath}),
      // Nothing in the working directory configures it: jobs can write where their runtime runs.
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
  });
}

/** The native library that npm installed for this platform, found as the parser itself would find it. */
function parserBindingPath(): string {
  const require = createRequire(createRequire(import.meta.url).resolve('oxc-parser'));
  const platform =
    process.platform === 'linux' ? `linux-${process.arch}-gnu` : `${process.platform}-${process.arch}`;
  return require.resolve(`@oxc-parser/binding-${platform}/parser.${platform}.node`);
}

/** Bundles `entry` with everything it imports into one file for Node. Throws an AggregateError with the bundler's messages. */
export async function bundleForNode({entry, outfile}: {entry: string; outfile: string}): Promise<void> {
  const {outputs} = await Bun.build({
    entrypoints: [entry],
    target: 'node',
    format: 'esm',
    minify: true,
    // The names of files that are bundled say nothing of where they were.
    root: fileURLToPath(new URL('../..', import.meta.url)),
  });
  const [bundle, ...more] = outputs;
  if (bundle === undefined || more.length > 0) throw new Error('the bundle is not one file');
  await Bun.write(outfile, bundle);
}
