/** What decides whether controllers and runtimes work here. */
export interface Host {
  readonly platform: string;
  readonly arch: string;
  /** Version of the GNU C library; null with another one, such as musl. */
  readonly glibc: string | null;
}

export function thisHost(): Host {
  const report = process.report.getReport() as {header?: {glibcVersionRuntime?: string}};
  return {
    platform: process.platform,
    arch: process.arch,
    glibc: report.header?.glibcVersionRuntime ?? null,
  };
}

/** Why containers cannot run on this host, with what to do; null where they can. */
export function unsupportedReason({platform, arch, glibc}: Host): string | null {
  const needed = 'Branchtab runs containers on Linux with glibc, x64 or arm64';
  const instead = 'Run it in a virtual machine or container with Debian, Ubuntu or Fedora.';
  if (platform !== 'linux') return `${needed}; this is ${platform}. ${instead}`;
  if (glibc === null)
    return `${needed}; this system has another C library, probably musl (Alpine). ${instead}`;
  if (arch !== 'x64' && arch !== 'arm64') return `${needed}; this is ${arch}. ${instead}`;
  return null;
}
