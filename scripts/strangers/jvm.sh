# shellcheck shell=bash
# Sourced by the tools that come from Maven Central or make clients for the JVM, in a folder of theirs.

# jar_of GROUP:ARTIFACT:VERSION gets a program, once, and prints where its jar is.
jar_of() {
	local artifact version
	IFS=: read -r _ artifact version <<<"$1"
	[ -e "$artifact-$version.jar" ] || mvn -q dependency:copy -Dartifact="$1" -DoutputDirectory=. >&2
	echo "$PWD/$artifact-$version.jar"
}

# classpath_of POM prints the jars that a project needs. Projects of a generator need the same: it looks once.
classpath_of() {
	local dependencies kept
	dependencies=$(sed -n '/<dependencies>/,/<\/dependencies>/p; /<properties>/,/<\/properties>/p' "$1" | sha256sum)
	kept=classpath-${dependencies%% *}
	[ -s "$kept" ] || mvn -q -f "$1" -B dependency:build-classpath -Dmdep.outputFile="$PWD/$kept" >&2
	cat "$kept"
}

# javac_all FOLDER CLASSPATH compiles every Java file of a folder.
javac_all() {
	rm -rf classes
	find "$1" -name '*.java' >sources
	[ -s sources ] && javac -nowarn -proc:none -d classes -cp "$2" @sources
}

# kotlinc_all FOLDER BUILD compiles every Kotlin file of a folder with what its build.gradle names, and with the compiler of the
# same version: Gradle itself cannot be had everywhere.
kotlinc_all() {
	local version named compiler classpath
	version=$(sed -n "s/.*ext.kotlin_version = '\(.*\)'/\1/p" "$2")
	# Gradle finds by metadata of its own which of okhttp's jars is the JVM's.
	named=$(sed -n 's/^ *implementation "\(.*\)"/\1/p' "$2" | sed "s/\$kotlin_version/$version/; s/okhttp3:okhttp:/okhttp3:okhttp-jvm:/")
	compiler=$(resolved "org.jetbrains.kotlin:kotlin-compiler-embeddable:$version")
	# shellcheck disable=SC2086 # one a word
	classpath=$(resolved $named)
	rm -rf classes
	java -cp "$compiler" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect -nowarn -d classes -cp "$classpath" "$1"
}

# resolved GROUP:ARTIFACT:VERSION… prints a classpath of libraries and what they need.
resolved() {
	local pom group artifact version
	pom=resolved-$(sha256sum <<<"$*" | head -c 16).xml
	{
		echo '<project><modelVersion>4.0.0</modelVersion><groupId>strangers</groupId><artifactId>strangers</artifactId><version>1</version><dependencies>'
		while IFS=: read -r group artifact version; do
			echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
		done < <(printf '%s\n' "$@")
		echo '</dependencies></project>'
	} >"$pom"
	classpath_of "$pom"
}
