# The systems' own tools for measuring, for the scripts that put mqbench beside them. They build in `work`, a
# folder that the script has. Sourced, after lib.sh, never run.
# shellcheck shell=bash disable=SC2154,SC2034

natscli_version=0.4.0
perftest_version=2.22.1
# The last that Maven Central has; it runs with the libraries of the server.
pulsar_perf_version=4.0.8

get_natscli() {
    local folder
    folder=$(cache_folder)/natscli/$natscli_version
    nats=$folder/nats
    [ ! -x "$nats" ] || return 0
    mkdir -p "$folder" "$work/natscli"
    printf 'module scratch\ngo 1.24\nrequire github.com/nats-io/natscli v%s\n' "$natscli_version" >"$work/natscli/go.mod"
    step "building nats $natscli_version" env -C "$work/natscli" go build -mod=mod -o "$nats" github.com/nats-io/natscli/nats
}

# get_tool NAME VERSION GROUP:ARTIFACT…: the jars of a tool, in `tool`.
get_tool() {
    local name=$1 version=$2 dependencies="" it
    shift 2
    tool=$(cache_folder)/$name/$version
    [ ! -d "$tool" ] || return 0
    need_maven
    mkdir -p "$work/$name" "$(dirname "$tool")"
    for it in "$@"; do
        dependencies+="<dependency><groupId>${it%%:*}</groupId><artifactId>${it#*:}</artifactId>"
        dependencies+="<version>$version</version></dependency>"
    done
    cat >"$work/$name/pom.xml" <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>scratch</groupId><artifactId>$name</artifactId><version>1</version>
  <dependencies>$dependencies</dependencies>
</project>
END
    step "getting $name $version" mvn -q -f "$work/$name/pom.xml" dependency:copy-dependencies \
        "-DoutputDirectory=$work/$name/libs" || return
    mv "$work/$name/libs" "$tool"
}

get_pulsar_perf() {
    local folder
    folder=$(cache_folder)/pulsar-testclient/$pulsar_perf_version
    tool=$folder/pulsar-testclient-$pulsar_perf_version.jar
    [ ! -e "$tool" ] || return 0
    need_maven
    step "getting pulsar-perf $pulsar_perf_version" \
        mvn -q "org.apache.maven.plugins:maven-dependency-plugin:$maven_dependency_plugin:copy" \
        "-Dartifact=org.apache.pulsar:pulsar-testclient:$pulsar_perf_version" "-DoutputDirectory=$folder"
}
