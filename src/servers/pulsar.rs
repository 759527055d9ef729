//! Pulsar: broker, bookie and metadata in one process of Java, as `pulsar standalone` starts them.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::find::{jar_version, java};
use super::{
    About, Found, Image, Launch, Layout, MemorySetting, Server, Setting, Site, Takes, mebibytes,
    socket,
};

/// See the module.
pub struct Pulsar;

const JAR: &str = "pulsar-broker-*.jar";
/// Of the protocol and of the administration, in the clear; both again for encrypted connections.
const PORTS: usize = 4;
/// The last line of a start: the port opens before topics can be made.
const READY: &str = "Created namespace pulsar/system";

const fn flag(key: &'static str, default: Option<&'static str>) -> Setting {
    Setting {
        key,
        takes: Takes::Choice(&["true", "false"]),
        default,
    }
}

static ABOUT: About = About {
    name: "pulsar",
    title: "Pulsar",
    version: "4.2.4",
    programs: &[JAR],
    image: Some(Image {
        name: "apachepulsar/pulsar:4.2.4",
        programs: &[
            "/pulsar/lib/org.apache.pulsar-pulsar-broker-4.2.4.jar",
            "/opt/jvm/bin/java",
        ],
    }),
    url: "pulsar://host:6650",
    ports: PORTS,
    // Seconds on an idle machine; half a minute where others keep its cores busy.
    start_within: Duration::from_secs(90),
    stop_within: Duration::from_secs(10),
    settings: &[
        // Whether the journal is synced to the device before a message is acknowledged.
        flag("journalSyncData", Some("false")),
        // Off as the server has it: entries wait for others, up to journalMaxGroupWaitMSec.
        flag("journalFlushWhenQueueEmpty", Some("false")),
        Setting::text("journalMaxGroupWaitMSec", Some("1")),
        flag("brokerDeduplicationEnabled", Some("false")),
        Setting::text("maxMessageSize", None),
        // From a non-persistent topic it drops what the buffer of a consumer's connection does not hold,
        // and what goes beyond so many messages of a publisher's: both as large as windows may be.
        Setting::text("pulsarChannelWriteBufferHighWaterMark", Some("16777216")),
        Setting::text(
            "maxConcurrentNonPersistentMessagePerConnection",
            Some("100000"),
        ),
        Setting::text("numIOThreads", None),
        Setting::text("managedLedgerCacheSizeMB", Some("64")),
        // How long a consumer that has read everything waits for the next look: 10 as the server has it.
        Setting::text("managedLedgerNewEntriesCheckDelayInMillis", None),
        Setting::text("maxMessagePublishBufferSizeInMB", Some("64")),
        // Who it lets in, as it checks them: for a name and password, and for a token.
        Setting::access("basicAuthConf"),
        Setting::access("tokenSecretKey"),
        // Whether it asks who comes; and what it calls itself with, as any client.
        Setting::access(USER),
        Setting::access(PASSWORD),
        Setting::access(TOKEN),
        // What it shows on ports of their own, and who must have signed the certificate that clients
        // show there.
        Setting::access(TLS_CERT),
        Setting::access(TLS_KEY),
        Setting::access(TLS_CA),
        // Options of Java, in its own words.
        Setting::text("Xmx", Some("512m")),
        Setting::text("MaxDirectMemorySize", Some("512m")),
    ],
    memory: &[
        MemorySetting {
            key: "Xmx",
            share: 0.375,
            written: mebibytes,
        },
        MemorySetting {
            key: "MaxDirectMemorySize",
            share: 0.375,
            written: mebibytes,
        },
    ],
};

/// Those that are not lines of its file.
const NOT_IN_FILE: &[&str] = &[
    "Xmx",
    "MaxDirectMemorySize",
    USER,
    PASSWORD,
    TOKEN,
    TLS_CERT,
    TLS_KEY,
    TLS_CA,
];

const USER: &str = "user";
const PASSWORD: &str = "password";
const TOKEN: &str = "token";
const TLS_CERT: &str = "tls_cert";
const TLS_KEY: &str = "tls_key";
const TLS_CA: &str = "tls_ca";

/// What is the same for every instance. With the server's own caches a small direct memory runs out:
/// the bookie dies then, the broker stays, and sends hang. Topics stay until they are deleted.
const FIXED: &str = "\
clusterName=standalone
advertisedAddress=127.0.0.1
numHttpServerThreads=8
managedLedgerDefaultEnsembleSize=1
managedLedgerDefaultWriteQuorum=1
managedLedgerDefaultAckQuorum=1
managedLedgerCacheEvictionIntervalMs=100
loadManagerClassName=org.apache.pulsar.broker.loadbalance.NoopLoadManager
loadBalancerEnabled=false
systemTopicEnabled=false
topicLevelPoliciesEnabled=false
webSocketServiceEnabled=false
brokerDeleteInactiveTopicsEnabled=false
brokerShutdownTimeoutMs=1000
ledgerStorageClass=org.apache.bookkeeper.bookie.storage.ldb.DbLedgerStorage
listeningInterface=lo
allowLoopback=true
diskUsageThreshold=0.99
diskUsageWarnThreshold=0.99
gcWaitTime=300000
flushInterval=60000
dbStorage_writeCacheMaxSizeMb=32
dbStorage_readAheadCacheMaxSizeMb=16
dbStorage_rocksDB_blockCacheSize=16777216
";

/// Warnings, and what tells that it is ready.
const LOGGING: &str = "\
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
logger.namespaces.name=org.apache.pulsar.broker.admin.impl.NamespacesBase
logger.namespaces.level=info
";

/// Packages of Java that its libraries reach into.
const OPENED: &[&str] = &[
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.util.zip",
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.platform",
    "java.base/sun.net",
    "java.management/sun.management",
];

impl Server for Pulsar {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn version(&self, found: &Found) -> io::Result<String> {
        if found.container().is_none() {
            java()?;
        }
        jar_version(&found.program, JAR)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its name has no version"))
    }

    fn configure(&self, found: &Found, site: &Site) -> Layout {
        let file = site.folder.join("standalone.conf");
        let logging = site.folder.join("log4j2.properties");
        Layout {
            steps: Vec::new(),
            processes: vec![Launch {
                name: ABOUT.name.to_owned(),
                // Where there is no Java it is not started: `version` has said so.
                program: java().unwrap_or_else(|_| "java".into()),
                args: arguments(found, site, &file, &logging),
                env: Vec::new(),
            }],
            files: vec![
                (file, configuration(found, site)),
                (logging, LOGGING.to_owned()),
            ],
        }
    }

    fn answers(&self, site: &Site) -> io::Result<()> {
        let log = fs::read_to_string(site.log(ABOUT.name))?;
        if !log.contains(READY) {
            return Err(io::Error::other("it is still starting"));
        }
        greet(site.port())
    }

    fn url(&self, site: &Site) -> String {
        let (port, admin) = match site.config.contains_key(TLS_CERT) {
            true => (site.ports[2], site.ports[3]),
            false => (site.port(), admin_port(site)),
        };
        // Clients of the protocol know nothing of the port of the administration.
        format!("pulsar://127.0.0.1:{port}?admin={admin}")
    }

    fn reason(&self, log: &str) -> Option<String> {
        let mut lines = log.lines().rev();
        let cause = lines.find_map(|line| {
            let (_, words) = line.strip_prefix("Caused by: ")?.split_once(": ")?;
            Some(words.to_owned())
        });
        // A start ends with the stack of what went wrong; the innermost cause comes last.
        cause.or_else(|| {
            let (_, words) = log.lines().rev().find_map(|l| l.split_once(" ERROR "))?;
            let (_, words) = words.split_once(' ')?;
            Some(words.to_owned())
        })
    }
}

fn admin_port(site: &Site) -> u16 {
    site.ports[1]
}

fn configuration(found: &Found, site: &Site) -> String {
    let mut text = FIXED.to_owned();
    let mut line = |key: &str, value: &str| {
        // Writing into memory cannot fail.
        let _ = writeln!(text, "{key}={}", value.replace('\\', "\\\\"));
    };
    line("bindAddress", found.bind());
    line("brokerServicePort", &site.port().to_string());
    line("webServicePort", &admin_port(site).to_string());
    let own = |(key, _): &(&String, &String)| !NOT_IN_FILE.contains(&key.as_str());
    for (key, value) in site.config.iter().filter(own) {
        line(key, value);
    }
    access(site, &mut line);
    // The bookie has a limit of its own on what a frame may hold.
    let largest = site.config.get("maxMessageSize");
    let largest = largest.and_then(|size| size.parse::<u64>().ok());
    let frame = largest.unwrap_or(5 << 20).max(5 << 20) + (10 << 10);
    line("nettyMaxFrameSizeBytes", &frame.to_string());
    text
}

/// Who may come in, and how. The broker is a client of itself too; by the ports in the clear where it
/// knows no other way, so that what it shows to others may be wrong.
fn access(site: &Site, line: &mut impl FnMut(&str, &str)) {
    let setting = |key: &str| site.config.get(key);
    let encrypted = setting(TLS_CERT).zip(setting(TLS_KEY));
    if let Some((cert, key)) = encrypted {
        line("brokerServicePortTls", &site.ports[2].to_string());
        line("webServicePortTls", &site.ports[3].to_string());
        line("tlsCertificateFilePath", cert);
        line("tlsKeyFilePath", key);
    }
    if let Some(ca) = setting(TLS_CA) {
        line("tlsTrustCertsFilePath", ca);
        line("tlsRequireTrustedClientCertOnConnect", "true");
    }
    let (kind, proof) = match (setting(USER), setting(TOKEN), encrypted, setting(TLS_CA)) {
        (Some(user), ..) => {
            let password = setting(PASSWORD).map_or("", String::as_str);
            let login = json!({"userId": user, "password": password});
            ("Basic", login.to_string())
        }
        (None, Some(token), ..) => ("Token", format!("token:{token}")),
        // Who shows a certificate is known by it.
        (None, None, Some((cert, key)), Some(ca)) => {
            line("brokerClientTlsEnabled", "true");
            line("brokerClientTrustCertsFilePath", ca);
            ("Tls", format!("tlsCertFile:{cert},tlsKeyFile:{key}"))
        }
        _ => return,
    };
    let provider = "org.apache.pulsar.broker.authentication.AuthenticationProvider";
    line("authenticationEnabled", "true");
    line("authenticationProviders", &format!("{provider}{kind}"));
    let client = "org.apache.pulsar.client.impl.auth.Authentication";
    line(
        "brokerClientAuthenticationPlugin",
        &format!("{client}{kind}"),
    );
    line("brokerClientAuthenticationParameters", &proof);
}

fn arguments(found: &Found, site: &Site, file: &Path, logging: &Path) -> Vec<OsString> {
    let jars = found.program.parent().unwrap_or(Path::new(".")).join("*");
    let own = |key: &str| site.config.get(key).map_or("512m", String::as_str);
    let path = |prefix: &str, path: &Path| {
        let mut argument = OsString::from(prefix);
        argument.push(path);
        argument
    };
    let mut args: Vec<OsString> = vec!["-cp".into(), jars.into()];
    // The classes of a run before, made by `scripts/get`: it starts in half the time. One that does not
    // fit is passed over by Java.
    let archive = found
        .program
        .ancestors()
        .nth(2)
        .map(|f| f.join("pulsar.jsa"));
    if let Some(archive) = archive.filter(|archive| archive.is_file()) {
        args.push(path("-XX:SharedArchiveFile=", &archive));
        args.extend(["-Xlog:cds=off".into(), "-Xlog:cds+dynamic=off".into()]);
    }
    args.extend([
        format!("-Xms{}", own("Xmx")).into(),
        format!("-Xmx{}", own("Xmx")).into(),
        format!("-XX:MaxDirectMemorySize={}", own("MaxDirectMemorySize")).into(),
        // Without memory it would linger: a server that is gone is noticed.
        "-XX:+ExitOnOutOfMemoryError".into(),
        // Otherwise it leaves a file outside its folder when it is killed; native libraries likewise.
        "-XX:-UsePerfData".into(),
        path("-Djava.io.tmpdir=", &site.data()),
        path("-Dlog4j2.configurationFile=", logging),
        "-Dlog4j.shutdownHookEnabled=false".into(),
        "-Dlog4j2.is.webapp=false".into(),
        "-Dio.netty.tryReflectionSetAccessible=true".into(),
        "-Dio.netty.leakDetectionLevel=disabled".into(),
        "-Djava.net.preferIPv4Stack=true".into(),
    ]);
    for package in OPENED {
        args.extend([
            "--add-opens".into(),
            format!("{package}=ALL-UNNAMED").into(),
        ]);
    }
    args.push("org.apache.pulsar.PulsarStandaloneStarter".into());
    args.extend(["--config".into(), file.into()]);
    // Neither functions nor the storage of their state.
    args.extend(["-nfw".into(), "-nss".into()]);
    args.extend(["--metadata-dir".into(), site.data().join("metadata").into()]);
    let bookkeeper = site.data().join("bookkeeper");
    args.extend(["--bookkeeper-dir".into(), bookkeeper.into()]);
    args.extend(["-a".into(), "127.0.0.1".into()]);
    args
}

/// Asks for a connection over its own protocol. Who may not have one is told so, which is an answer too.
fn greet(port: u16) -> io::Result<()> {
    // Lengths of frame and command; type CONNECT; client_version, protocol_version.
    const CONNECT: &[u8] = b"\0\0\0\x13\0\0\0\x0f\x08\x02\x12\x0b\x0a\x07mqbench\x20\x13";
    const CONNECTED: u8 = 3;
    const ERROR: u8 = 14;
    let mut connection = socket::connect(port)?;
    connection.get_mut().write_all(CONNECT)?;
    let mut answer = [0; 10];
    connection.read_exact(&mut answer)?;
    match answer[8..] {
        [0x08, CONNECTED | ERROR] => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it speaks another protocol",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Origin;

    fn site(config: &[(&str, &str)]) -> Site {
        let config = config.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        Site {
            folder: "/tmp/x".into(),
            ports: vec![7001, 7002, 7003, 7004],
            config: ABOUT.effective(&config.collect()).unwrap(),
        }
    }

    fn laid_out(config: &[(&str, &str)]) -> Layout {
        let found = Found {
            program: "/lib/pulsar/pulsar-broker-4.2.4.jar".into(),
            origin: Origin::Cache,
        };
        Pulsar.configure(&found, &site(config))
    }

    #[track_caller]
    fn has(layout: &Layout, line: &str) {
        let text = &layout.files[0].1;
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }

    #[test]
    fn settings_become_lines_of_its_file_or_arguments() {
        let layout = laid_out(&[
            ("journalSyncData", "true"),
            ("maxMessageSize", "10485760"),
            ("Xmx", "1g"),
        ]);
        has(&layout, "brokerServicePort=7001");
        has(&layout, "webServicePort=7002");
        has(&layout, "journalSyncData=true");
        has(&layout, "journalFlushWhenQueueEmpty=false");
        has(&layout, "nettyMaxFrameSizeBytes=10496000");
        assert!(!layout.files[0].1.contains("Xmx"));
        let args = &layout.processes[0].args;
        let argument = |wanted: &str| args.iter().any(|argument| *argument == *wanted);
        assert!(argument("-Xmx1g") && argument("/lib/pulsar/*"));
        assert!(argument("-Djava.io.tmpdir=/tmp/x/data"));
    }

    #[test]
    fn who_may_come_in_is_asked_where_there_is_somebody() {
        let text = &laid_out(&[]).files[0].1;
        assert!(!text.contains("uthentication"), "{text}");
        let layout = laid_out(&[
            ("user", "bench"),
            ("password", "a\"b"),
            ("basicAuthConf", "data:;base64,x"),
        ]);
        has(&layout, "authenticationEnabled=true");
        has(&layout, "basicAuthConf=data:;base64,x");
        // Once for the client and once for the file.
        has(
            &layout,
            r#"brokerClientAuthenticationParameters={"password":"a\\"b","userId":"bench"}"#,
        );
        let layout = laid_out(&[("token", "t"), ("tokenSecretKey", "k")]);
        has(&layout, "brokerClientAuthenticationParameters=token:t");
        has(&layout, "tokenSecretKey=k");
        assert!(!layout.files[0].1.contains("\ntoken="));
    }

    #[test]
    fn encrypted_it_answers_on_other_ports_and_knows_clients_by_their_certificates() {
        let shown = [("tls_cert", "/c/a.pem"), ("tls_key", "/c/a.key")];
        let layout = laid_out(&shown);
        has(&layout, "brokerServicePort=7001");
        has(&layout, "brokerServicePortTls=7003");
        has(&layout, "webServicePortTls=7004");
        has(&layout, "tlsCertificateFilePath=/c/a.pem");
        let text = &layout.files[0].1;
        assert!(!text.contains("uthentication") && !text.contains("tls_"));
        let url = Pulsar.url(&site(&shown));
        assert_eq!(url, "pulsar://127.0.0.1:7003?admin=7004");
        assert_eq!(Pulsar.url(&site(&[])), "pulsar://127.0.0.1:7001?admin=7002");

        let asked = [shown[0], shown[1], ("tls_ca", "/c/ca.pem")];
        let layout = laid_out(&asked);
        has(&layout, "tlsTrustCertsFilePath=/c/ca.pem");
        has(&layout, "tlsRequireTrustedClientCertOnConnect=true");
        let provider = "org.apache.pulsar.broker.authentication.AuthenticationProviderTls";
        has(&layout, &format!("authenticationProviders={provider}"));
        has(
            &layout,
            "brokerClientAuthenticationParameters=tlsCertFile:/c/a.pem,tlsKeyFile:/c/a.key",
        );
    }

    #[test]
    fn the_reason_is_the_innermost_cause_or_the_last_error() {
        let log = "11:01:03.550 ERROR PulsarService Failed to start Pulsar service: x\n\
                   java.io.IOException: Failed to start\n\tat org.example.A(A.java:1)\n\
                   Caused by: java.net.BindException: Address already in use\n\tat b\n";
        assert_eq!(Pulsar.reason(log).unwrap(), "Address already in use");
        let log = "11:01:04.171 ERROR Journal Problems reading from lastMark\n";
        assert_eq!(
            Pulsar.reason(log).unwrap(),
            "Problems reading from lastMark"
        );
        assert_eq!(Pulsar.reason("11:01:08.298 INFO A b\n"), None);
    }
}
