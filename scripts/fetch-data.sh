#!/usr/bin/env bash
# Fetches a data set, checks it, and puts its files into a folder. See --help.
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: scripts/fetch-data.sh [--from ADDRESS] NAME DIR

Fetches the files of a data set, training and test part, into DIR.

  NAME             size      files, and `data.kind` of the configuration
  fashion-mnist     30 MB    *-ubyte.gz; idx
  mnist             11 MB    *-ubyte.gz; idx
  cifar10          170 MB    data_batch_[1-5].bin, test_batch.bin; cifar10
  cifar100         169 MB    train.bin, test.bin; cifar100
  svhn             246 MB    train_32x32.mat, test_32x32.mat; svhn
  svhn-extra       1.3 GB    extra_32x32.mat; svhn, with `data.extra: true`

Options:
  --from ADDRESS   take the files from this address (https://, file://) instead of the official one
  -h, --help       show this help

Every file is checked against its published checksum before it gets its name in DIR, so what is in
DIR is whole; a second call fetches only what is missing. Needs curl or wget, and no root.
Fashion-MNIST comes from the package `dataset-fashion-mnist` where apt has it.

Example:
  scripts/fetch-data.sh fashion-mnist ~/data/fashion-mnist
HELP
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "fetch-data.sh: $*"; exit 1; }
misuse() { say "fetch-data.sh: $* (see --help)"; exit 2; }

# What can be had: file, kind of checksum, checksum, official address of the folder.
# `content` is the sha256 of the unpacked bytes: Debian packs the same bytes with another gzip header.
catalogue() {
    case $1 in
        fashion-mnist)
            local at=http://fashion-mnist.s3-website.eu-central-1.amazonaws.com
            echo "train-labels-idx1-ubyte.gz content bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9 $at"
            echo "t10k-labels-idx1-ubyte.gz content 0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34 $at"
            echo "train-images-idx3-ubyte.gz content c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888 $at"
            echo "t10k-images-idx3-ubyte.gz content 5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b $at" ;;
        mnist)
            # The copy that PyTorch uses; the original site has become unreliable.
            local at=https://ossci-datasets.s3.amazonaws.com/mnist
            echo "train-labels-idx1-ubyte.gz md5 d53e105ee54ea40749a09fcbcd1e9432 $at"
            echo "t10k-labels-idx1-ubyte.gz md5 ec29112dd5afa0611ce80d1b7f02c09c $at"
            echo "train-images-idx3-ubyte.gz md5 f68b3c2dcbeaaa9fbdd348bbdeb94873 $at"
            echo "t10k-images-idx3-ubyte.gz md5 9fb629c4189551a2d022fa330f9573f3 $at" ;;
        cifar10)
            echo "cifar-10-binary.tar.gz md5 c32a1d4ab5d03f1284b67883e8d87530 https://www.cs.toronto.edu/~kriz" ;;
        cifar100)
            echo "cifar-100-binary.tar.gz md5 03b5dce01913d631647c71ecec9e9cb8 https://www.cs.toronto.edu/~kriz" ;;
        svhn)
            local at=http://ufldl.stanford.edu/housenumbers
            echo "train_32x32.mat md5 e26dedcc434d2e4c54c9b2d4a06d8373 $at"
            echo "test_32x32.mat md5 eb5a983be6a315427106f1b164d9cef3 $at" ;;
        svhn-extra)
            echo "extra_32x32.mat md5 a93ce644f1a588dc4d68dda5feec44a7 http://ufldl.stanford.edu/housenumbers" ;;
        *) misuse "unknown data set \`$1\`" ;;
    esac
}

# The files that a data set has in DIR in the end.
wanted() {
    case $1 in
        cifar10) printf '%s\n' data_batch_{1..5}.bin test_batch.bin ;;
        cifar100) printf '%s\n' train.bin test.bin ;;
        *) catalogue "$1" | cut -d' ' -f1 ;;
    esac
}

is_there() { [ -s "$dir/$1" ]; }

all_there() {
    local file
    for file in $(wanted "$name"); do
        is_there "$file" || return 1
    done
}

# checksum FILE KIND
checksum() {
    case $2 in
        content) gzip -dc "$1" | sha256sum ;;
        md5) md5sum <"$1" ;;
    esac | cut -d' ' -f1
}

# MNIST and Fashion-MNIST use the same names. Their labels are small enough to look at in every call,
# and come first, so that no images stand without them.
refuse_another_data_set() {
    local file kind expected address
    while read -r file kind expected address; do
        case $file in *-labels-*) ;; *) continue ;; esac
        ! is_there "$file" || [ "$(checksum "$dir/$file" "$kind")" = "$expected" ] ||
            fail "$dir/$file is not of $name (choose another folder)"
    done < <(catalogue "$name")
}

# check FILE KIND CHECKSUM
check() {
    local found
    found=$(checksum "$1" "$2") || fail "$(basename "$1") is damaged (try again)"
    [ "$found" = "$3" ] || fail "$(basename "$1") has the $2 checksum $found, not $3 (the download is damaged or not the file: try again)"
}

# download ADDRESS FILE
download() {
    say "fetching $1"
    if command -v curl >/dev/null; then
        curl --fail --location --silent --show-error --retry 3 --connect-timeout 30 -o "$2" "$1"
    elif command -v wget >/dev/null; then
        wget --no-verbose --tries=3 --timeout=30 -O "$2" "$1"
    else
        fail "neither curl nor wget is there (install one of them)"
    fi || fail "cannot fetch $1"
}

# Puts the files of the Debian package into $aside; false where apt does not have it.
from_debian() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    local debian=$aside/debian package
    mkdir "$debian"
    # As root, apt downloads as the user `_apt`, who must be able to write here.
    chmod 777 "$debian"
    chmod 711 "$aside"
    if ! apt_download "$debian"; then
        # A fresh machine or container has no package lists yet; only root can fetch them.
        [ "$(id -u)" = 0 ] && "$(dirname "$0")/apt-install.sh" && apt_download "$debian" || return 1
    fi
    package=$(echo "$debian"/*.deb)
    dpkg -x "$package" "$debian" && mv "$debian"/usr/share/datasets/fashion-mnist/*.gz "$aside"
}

apt_download() { (cd "$1" && apt-get -qq download dataset-fashion-mnist >&2 2>/dev/null); }

# Moves checked files to their final names: a rename, since $aside is on the same file system.
keep() { mv -f "$1" "$dir/$(basename "$1")"; }

unpack() {
    tar -xzf "$1" -C "$aside" --strip-components=1
    local file
    for file in $(wanted "$name"); do
        [ -s "$aside/$file" ] || fail "$(basename "$1") holds no $file"
        keep "$aside/$file"
    done
}

fetch() {
    if [ "$name" = fashion-mnist ] && [ -z "$from" ]; then
        if from_debian; then
            say "took the package dataset-fashion-mnist"
        else
            say "apt has no dataset-fashion-mnist"
        fi
    fi
    local file kind expected address
    while read -r file kind expected address; do
        is_there "$file" && continue
        [ -e "$aside/$file" ] || download "${from:-$address}/$file" "$aside/$file"
        check "$aside/$file" "$kind" "$expected"
        case $file in
            *.tar.gz) unpack "$aside/$file" ;;
            *) keep "$aside/$file" ;;
        esac
    done < <(catalogue "$name")
}

from=
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --from) [ $# -ge 2 ] || misuse "--from needs an address"; from=${2%/}; shift 2 ;;
        -*) misuse "unknown option \`$1\`" ;;
        *) break ;;
    esac
done
[ $# -eq 2 ] || misuse "need NAME and DIR"
name=$1 dir=$2
catalogue "$name" >/dev/null

refuse_another_data_set
if all_there; then
    say "$name is already in $dir"
    exit 0
fi
mkdir -p "$dir"
aside=$(mktemp -d "$dir/.fetching.XXXXXX")
trap 'rm -rf "$aside"' EXIT
fetch
say "$name is in $dir"
